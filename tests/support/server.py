"""A real server process on a data directory, to be started, asked, killed and started again."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

from jobsvc.files.contract import IDENTITY
from jobsvc.jobs.states import FINISHED
from tests.support import processes
from tests.support.contract import check_served
from tests.support.waiting import MOST_POLL_SECONDS, poll

START_SECONDS = 30.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


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
            "JOBSVC_MIN_FREE_BYTES": "0",
            **settings,
        }
        self.process: processes.Process | None = None

    def start(self, wait: bool = True) -> Server:
        with self.log.open("ab") as log:
            command = [part.replace("{port}", str(self.port)) for part in self._command]
            self.process = processes.start(command, self._environ, log)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self) -> None:
        poll(self._is_ready, START_SECONDS, f"the server to be ready; its log:\n{self.log.read_text()[-3000:]}")

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the server ended:\n{self.log.read_text()[-3000:]}"
        try:
            return self.get("/readyz")["status"] == "ready"
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

    def worker_pids(self) -> set[int]:
        """The process ids of all workers; in a reload there are two for a moment."""
        assert self.process is not None
        return set(
            map(int, Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()),
        )

    def is_listening(self) -> bool:
        """Whether somebody accepts connections on the port."""
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
        except ConnectionRefusedError:
            return False
        return True

    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Read the database directly, past the service; also while it is down. Values stand for question marks."""
        url = self._environ.get("DATABASE_URL")
        if url:
            with psycopg.connect(url) as connected:
                return connected.execute(statement.replace("?", "%s").encode(), values).fetchall()
        with closing(sqlite3.connect(f"file:{self.data_dir / 'jobsvc.db'}?mode=ro", uri=True)) as connection:
            return connection.execute(statement, values).fetchall()

    def snapshot(self, *statements: str) -> list[list[tuple[Any, ...]]]:
        """What several statements find at one moment, past the service; also while it is down."""
        url = self._environ.get("DATABASE_URL")
        if url:
            with psycopg.connect(url) as connected:
                connected.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                return [connected.execute(statement.encode()).fetchall() for statement in statements]
        with closing(sqlite3.connect(f"file:{self.data_dir / 'jobsvc.db'}?mode=ro", uri=True)) as connection:
            connection.execute("BEGIN")
            return [connection.execute(statement).fetchall() for statement in statements]

    def count_records(self, job_id: str) -> int:
        """How many records of a job the database holds."""
        counted: int = self.query(
            "SELECT count(*) FROM records WHERE job_key = (SELECT key FROM jobs WHERE id = ?)", job_id
        )[0][0]
        return counted

    def stored(self, job_id: str) -> tuple[str, int]:
        """A job's state and `done`, as they stand in the database."""
        state, done = self.query("SELECT state, done FROM jobs WHERE id = ?", job_id)[0]
        return state, done

    def files(self) -> list[str]:
        """The names of all uploaded and produced files."""
        return sorted(path.name for path in (self.data_dir / "files").iterdir() if path.name != IDENTITY)

    def get(self, path: str) -> Any:
        return json.loads(self._get(path, 30))

    def get_bytes(self, path: str) -> bytes:
        return self._get(path, 60)

    def _get(self, path: str, seconds: float) -> bytes:
        with urllib.request.urlopen(self.url + path, timeout=seconds) as answer:
            body: bytes = answer.read()
            check_served("GET", answer.url, answer.status, answer.headers["Content-Type"], body)
            return body

    def post(self, path: str, body: Any = None, key: str = "") -> tuple[int, Any]:
        """POST JSON, with the key of a user; returns the status and the answer, errors included."""
        data = b"" if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
        request = urllib.request.Request(self.url + path, data, headers, method="POST")
        try:
            answer = urllib.request.urlopen(request, timeout=60)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            told = answer.read()
            check_served("POST", request.full_url, answer.status, answer.headers["Content-Type"], told)
            return answer.status, json.loads(told)

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
        # Nothing is missed that stays as it is: then fewer questions leave the processor to what is waited for.
        lasts = FINISHED.issuperset(states)
        what = f"{job_id} to be {' or '.join(states)}"
        poll(lambda: self.job(job_id)["state"] in states, seconds, what, slows_to=0.25 if lasts else MOST_POLL_SECONDS)
        return self.job(job_id)

    def wait_done(self, job_id: str, items: int, seconds: float = 120.0) -> None:
        """Wait until so many items have taken effect, or the job has ended."""
        poll(
            lambda: self.job(job_id)["progress"]["done"] >= items or self.job(job_id)["finished_at"] is not None,
            seconds,
            f"{items} items of {job_id}",
        )


class SlowUpload:
    """An upload of which the first half has been sent."""

    BOUNDARY = "slowly"

    def __init__(self, server: Server, file: bytes, route: str = "/uploadCSV") -> None:
        head = f'--{self.BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="slow.csv"\r\n\r\n'
        body = head.encode() + file + f"\r\n--{self.BOUNDARY}--\r\n".encode()
        request = (
            f"POST {route} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
            f"Content-Type: multipart/form-data; boundary={self.BOUNDARY}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        before = set(server.files())
        sent = len(head) + len(file) // 2
        self._rest = body[sent:]
        self._socket = socket.create_connection(("127.0.0.1", server.port), timeout=60)
        self._socket.sendall(request.encode() + body[:sent])
        poll(lambda: bool(set(server.files()) - before), 10, "the upload's file to be there")

    def send_rest(self) -> tuple[int, Any]:
        """Send the second half; returns the status and the answer. Raises OSError or HTTPException without one."""
        with closing(self._socket):
            self._socket.sendall(self._rest)
            answer = http.client.HTTPResponse(self._socket, method="POST")
            answer.begin()
            return answer.status, json.load(answer)

    def close(self) -> None:
        self._socket.close()
