"""A real server process on a data directory, to be started, asked, killed and started again."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
START_SECONDS = 30.0
POLL_SECONDS = 0.01


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def poll(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for something in another process, which no event of ours can tell."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(POLL_SECONDS)


class Server:
    """The service under gunicorn, as `make` runs it, in a process group of its own."""

    def __init__(self, data_dir: Path, command: list[str] | None = None, **settings: str) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = data_dir.parent / f"{data_dir.name}.log"
        self._command = command or [sys.executable, "-m", "gunicorn"]
        self._environ = {
            **{name: text for name, text in os.environ.items() if not name.startswith("JOBSVC_")},
            "PORT": str(self.port),
            "JOBSVC_DATA_DIR": str(data_dir),
            **settings,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, wait: bool = True) -> Server:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [part.replace("{port}", str(self.port)) for part in self._command],
                cwd=ROOT,
                env=self._environ,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self) -> None:
        poll(self._is_ready, START_SECONDS, f"the server to be ready; its log:\n{self.log.read_text()[-3000:]}")

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the server ended:\n{self.log.read_text()[-3000:]}"
        try:
            return self.get("/readyz") == {"status": "ready"}
        except (OSError, http.client.HTTPException):
            return False

    def kill(self) -> None:
        """SIGKILL for the server and its workers, at this very moment."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = 30.0) -> int:
        """Ask the server to end, and wait for it; returns its exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(seconds)

    def worker_pid(self) -> int:
        """The process id of the (only) worker."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        assert len(children) == 1, children
        return int(children[0])

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            return json.load(answer)

    def get_bytes(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            body: bytes = answer.read()
            return body

    def post(self, path: str, body: Any = None) -> tuple[int, Any]:
        """POST JSON; returns the status and the answer, errors included."""
        data = b"" if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def upload(self, file: Path, route: str = "/uploadCSV", **fields: str) -> str:
        """Upload a file with curl, as people do; returns the job's id."""
        form = [part for name, text in fields.items() for part in ("-F", f"{name}={text}")]
        answer = subprocess.run(
            ["curl", "-sS", *form, "-F", f"file=@{file}", self.url + route], check=True, capture_output=True, text=True
        ).stdout
        job_id: str = json.loads(answer)["Job ID"]
        return job_id

    def export(self, first: str, last: str, **more: str) -> str:
        status, answer = self.post("/exportData", {"from": first, "to": last, **more})
        assert status == 200, answer
        job_id: str = answer["Job ID"]
        return job_id

    def job(self, job_id: str) -> Any:
        return self.get(f"/jobs/{job_id}")

    def wait_for(self, job_id: str, *states: str, seconds: float = 120.0) -> Any:
        """Wait until the job is in one of the states; returns it."""
        poll(lambda: self.job(job_id)["state"] in states, seconds, f"{job_id} to be {' or '.join(states)}")
        return self.job(job_id)

    def wait_done(self, job_id: str, items: int, seconds: float = 120.0) -> None:
        """Wait until so many items have taken effect, or the job has ended."""
        poll(
            lambda: self.job(job_id)["progress"]["done"] >= items or self.job(job_id)["finished_at"] is not None,
            seconds,
            f"{items} items of {job_id}",
        )
