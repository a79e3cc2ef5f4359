"""One process for each data directory, and how it is handed on."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.exactly_once import DATE_COLUMN, assert_exactly_once
from tests.support.server import START_SECONDS, Server
from tests.support.waiting import poll

GUNICORN = [sys.executable, "-m", "gunicorn"]
FLASK = [sys.executable, "-m", "flask", "--app", "wsgi", "run", "--port", "{port}"]

MakeServer = Callable[..., Server]


def refused(server: Server) -> str:
    """Start what must not start; returns what it said."""
    server.start(wait=False)
    assert server.process is not None
    try:
        code = server.process.wait(20)
    except subprocess.TimeoutExpired:
        pytest.fail(f"it was not refused:\n{server.log.read_text()}")
    assert code > 0
    said = server.log.read_text()
    assert "Traceback" not in said
    return said


def test_a_second_process_is_refused_with_the_pid_of_the_first_and_the_way_out(
    server: Server, make_server: MakeServer
) -> None:
    first = server.worker_pid()
    for command in (GUNICORN, FLASK):
        second = make_server(command, data_dir=server.data_dir)
        second.log = second.log.with_suffix(f".{command[2]}")
        said = refused(second)
        assert f"process {first} on " in said
        assert "Stop that process" in said
        assert "JOBSVC_DATA_DIR" in said
        assert "PostgreSQL" in said
    assert server.get("/readyz") == {"status": "ready"}


@pytest.mark.parametrize(
    ("options", "settings", "words"),
    [
        (["-w", "2"], {}, ["--workers 2", "more threads", "PostgreSQL"]),
        (["--preload"], {}, ["--preload"]),
        (["-b", "0.0.0.0:{port}"], {}, ["0.0.0.0", "JOBSVC_ALLOW_ANONYMOUS=1"]),
        (["-b", ":{port}"], {}, ["JOBSVC_ALLOW_ANONYMOUS=1"]),
        (["-b", "127.0.0.1:{port}", "-b", "[::]:{port}"], {}, ["::", "JOBSVC_ALLOW_ANONYMOUS=1"]),
        ([], {"HOST": "0.0.0.0"}, ["0.0.0.0", "JOBSVC_ALLOW_ANONYMOUS=1"]),
    ],
    ids=["two workers", "preload", "bind anywhere", "bind without host", "bind all of IPv6", "HOST"],
)
def test_what_cannot_work_or_is_unsafe_is_refused(
    options: list[str], settings: dict[str, str], words: list[str], make_server: MakeServer
) -> None:
    server = make_server([*GUNICORN, *options], laid_out=False, **settings)
    said = refused(server)
    for word in words:
        assert word in said
    assert not server.data_dir.exists() or not any(server.data_dir.iterdir())


def test_with_leave_it_listens_anywhere(make_server: MakeServer) -> None:
    make_server([*GUNICORN, "-b", "0.0.0.0:{port}"], JOBSVC_ALLOW_ANONYMOUS="1").start()


@contextmanager
def asking(server: Server, most: int = 10**6) -> Iterator[list[str]]:
    """Send requests one after the other while the block runs; gives the list of what went wrong."""
    wrong: list[str] = []
    enough = threading.Event()
    asked = 0

    def ask() -> None:
        nonlocal asked
        while not enough.is_set() and asked < most:
            try:
                answer = server.get("/healthz")
                if answer["status"] != "ok":
                    wrong.append(f"request {asked}: {answer}")
            except (OSError, http.client.HTTPException) as error:
                wrong.append(f"request {asked}: {error!r}")
            asked += 1

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield wrong
    finally:
        if most < 10**6:
            thread.join(60)
        enough.set()
        thread.join(60)
    print(f"{asked} requests")
    assert asked > 10


def wait_for_another_worker(server: Server, old: int) -> int:
    found = {old}

    def is_alone() -> bool:
        # Looked at once: between two looks the old one may be gone, and no new one there yet.
        found.clear()
        found.update(server.worker_pids())
        return len(found) == 1 and old not in found

    poll(is_alone, 20, "a new worker alone")
    return found.pop()


def test_a_reload_hands_a_running_job_over_and_refuses_no_request(server: Server, flights: Path) -> None:
    assert server.process is not None
    job_id = server.upload(flights, date_column=DATE_COLUMN)
    server.wait_done(job_id, 1)
    old = server.worker_pid()
    with asking(server) as wrong:
        for _ in range(2):
            server.process.send_signal(signal.SIGHUP)
            old = wait_for_another_worker(server, old)
            before = server.stored(job_id)[1]
            poll(lambda before=before: server.stored(job_id)[1] > before, 20, "it to go on")  # type: ignore[misc]
    assert wrong == []
    assert server.process.poll() is None
    server.wait_for(job_id, "succeeded", "failed")
    assert_exactly_once(server.data_dir, job_id, flights)
    assert server.job(job_id)["attempt"] == 3
    for trouble in ("ERROR", "CRITICAL", "can't start", "Traceback"):
        assert trouble not in server.log.read_text()


def test_a_worker_that_is_renewed_after_so_many_requests_hands_its_job_over(
    make_server: MakeServer, flights: Path
) -> None:
    server = make_server([*GUNICORN, "-c", "gunicorn.conf.py", "--max-requests", "20"]).start()
    job_id = server.upload(flights, date_column=DATE_COLUMN)
    poll(lambda: server.stored(job_id)[1] > 0, 20, "it to begin")
    with asking(server, most=45) as wrong:
        pass
    assert wrong == []
    poll(lambda: server.stored(job_id)[0] == "succeeded", 60, "the end")
    assert_exactly_once(server.data_dir, job_id, flights)
    assert server.query("SELECT attempt FROM jobs")[0][0] >= 3
    assert "Traceback" not in server.log.read_text()


def test_when_the_worker_alone_is_killed_another_takes_over(server: Server, flights_part: Path) -> None:
    job_id = server.upload(flights_part, date_column=DATE_COLUMN)
    server.wait_done(job_id, 1)
    old = server.worker_pid()
    os.kill(old, signal.SIGKILL)
    wait_for_another_worker(server, old)
    server.wait_ready()
    server.wait_for(job_id, "succeeded", "failed")
    assert_exactly_once(server.data_dir, job_id, flights_part)
    assert server.job(job_id)["attempt"] == 2


def test_when_the_master_alone_is_killed_its_worker_lets_go_of_the_data_directory(
    server: Server, make_server: MakeServer, flights: Path
) -> None:
    assert server.process is not None
    job_id = server.upload(flights, date_column=DATE_COLUMN)
    server.wait_done(job_id, 1)
    worker = server.worker_pid()
    server.process.kill()
    server.process.wait()
    poll(lambda: not Path(f"/proc/{worker}").exists() or _is_zombie(worker), 10, "the orphan to end")
    assert server.stored(job_id)[0] == "interrupted"
    server.start()
    server.wait_for(job_id, "succeeded", "failed")
    assert_exactly_once(server.data_dir, job_id, flights)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_no_worker_is_added(server: Server) -> None:
    assert server.process is not None
    only = server.worker_pids()
    server.process.send_signal(signal.SIGTTIN)
    poll(lambda: "not adding a worker" in server.log.read_text(), 10, "an answer in the log")
    assert server.worker_pids() == only
    assert server.get("/readyz") == {"status": "ready"}
    assert server.stop() == 0
    assert server.log.read_text().count("Booting worker") == 1


def test_the_development_server_with_its_reloader_serves_or_says_no(make_server: MakeServer) -> None:
    server = make_server([*FLASK, "--debug"]).start(wait=False)
    process = server.process
    assert process is not None

    def serves() -> bool:
        try:
            with urllib.request.urlopen(server.url + "/readyz", timeout=1) as answer:
                return bool(answer.status == 200)
        except (OSError, http.client.HTTPException):
            return False

    poll(lambda: process.poll() is not None or serves(), START_SECONDS, "an answer, or the end")
    assert server.log.read_text().count("can't start") <= 1
