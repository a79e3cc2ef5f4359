"""Ending in good order, within the bound, whatever runs the service."""

from __future__ import annotations

import http.client
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flask import Flask

from jobsvc.engines.threads import ThreadEngine
from jobsvc.runs.signals import Signals
from tests.support.exactly_once import DATE_COLUMN, assert_exactly_once
from tests.support.given_jobs import GivenJobs
from tests.support.server import Server, SlowUpload
from tests.support.waiting import poll

GUNICORN = [sys.executable, "-m", "gunicorn"]
FLASK = [sys.executable, "-m", "flask", "--app", "wsgi", "run", "--port", "{port}"]
PLAIN = [sys.executable, "-m", "tests.process.programs.plain"]
HELD_GUNICORN = [*GUNICORN, "tests.process.programs.held:app"]
HELD_FLASK = [sys.executable, "-m", "flask", "--app", "tests.process.programs.held", "run", "--port", "{port}"]

TERM, INT = signal.SIGTERM, signal.SIGINT
TIMEOUT = 10.0
"""JOBSVC_SHUTDOWN_TIMEOUT, by default."""
TERMINATED = {128 + TERM, -TERM}
"""Exit codes that say: ended by SIGTERM, as it was asked to."""
INTERRUPTED = {0, 128 + INT, -INT}

MakeServer = Callable[..., Server]


def timed_end(server: Server, what: signal.Signals, bound: float, to_group: bool = False) -> tuple[int, float]:
    """Send a signal; returns the exit code and the seconds it took."""
    assert server.process is not None
    begun = time.monotonic()
    if to_group:
        os.killpg(server.process.pid, what)
    else:
        server.process.send_signal(what)
    code = server.process.wait(bound + 20)
    return code, time.monotonic() - begun


def test_a_job_goes_on_from_one_server_to_the_next_whatever_ends_them(
    make_server: MakeServer, flights: Path, chance: random.Random
) -> None:
    job_id = "plain-job"
    links: list[tuple[list[str], signal.Signals, bool, set[int]]] = [
        ([*PLAIN, str(flights)], TERM, False, TERMINATED),
        (GUNICORN, TERM, False, {0}),
        (FLASK, TERM, False, TERMINATED),
        (PLAIN, INT, False, INTERRUPTED),
        (GUNICORN, INT, False, {0}),
        (FLASK, INT, False, INTERRUPTED),
        (GUNICORN, TERM, True, {0}),
        (GUNICORN, INT, True, {0}),
    ]
    before = 0
    for number, (command, what, to_group, codes) in enumerate(links, 1):
        case = f"{number}: {' '.join(command[1:4])}, {what.name}{' to all' if to_group else ''}"
        server = make_server(command).start(wait=False)
        process = server.process
        assert process is not None
        poll(lambda s=server, b=before: _done(s, job_id) > b, 30, f"{case}: it to go on")  # type: ignore[misc]
        time.sleep(chance.uniform(0, 0.08))
        code, seconds = timed_end(server, what, TIMEOUT, to_group)
        state, before = server.stored(job_id)
        print(f"{case}: exit code {code} after {seconds:.2f} s, {state} at {before}")
        assert code in codes, case
        assert seconds < TIMEOUT, case
        assert state == "interrupted", case
        assert server.count_records(job_id) == before, case
        log = server.log.read_text().replace("KeyboardInterrupt", "", 1) if command is PLAIN else server.log.read_text()
        assert "Exception" not in log, case

    last = make_server().start()
    last.wait_for(job_id, "succeeded", "failed")
    assert_exactly_once(last.data_dir, job_id, flights)
    assert last.job(job_id)["attempt"] == len(links) + 1


def test_closing_an_application_in_somebody_else_s_process_leaves_its_signals_alone(
    make_app: Callable[..., Flask],
) -> None:
    numbers = (TERM, INT, signal.SIGQUIT)
    before = [signal.getsignal(number) for number in numbers]
    make_app().extensions["jobsvc"].close()
    assert [signal.getsignal(number) for number in numbers] == before


@pytest.mark.parametrize("what", [TERM, INT])
def test_a_signal_ends_the_process_also_while_its_main_thread_takes_the_locks(
    what: signal.Signals, make_server: MakeServer, chance: random.Random
) -> None:
    for _ in range(4):
        server = make_server([sys.executable, "-m", "tests.process.programs.busy"])
        server.start(wait=False)
        poll(lambda s=server: _submitted(s) > 0, 30, "jobs to be submitted")  # type: ignore[misc]
        time.sleep(chance.uniform(0, 0.05))
        code, seconds = timed_end(server, what, TIMEOUT, False)
        assert code in TERMINATED | INTERRUPTED, code
        # A lock that nobody lets go would be waited for until the time is up.
        assert seconds < TIMEOUT / 2
        shutil.rmtree(server.data_dir)


def _submitted(server: Server) -> int:
    try:
        return int(server.query("SELECT count(*) FROM jobs")[0][0])
    except sqlite3.Error:
        return 0


def _done(server: Server, job_id: str) -> int:
    assert server.process is not None
    assert server.process.poll() is None, server.log.read_text()[-3000:]
    try:
        return server.stored(job_id)[1]
    except Exception:  # Neither the database nor the job need be there yet.
        return 0


@pytest.mark.parametrize("command", [GUNICORN, FLASK], ids=["gunicorn", "flask"])
def test_a_slow_upload_is_answered_during_a_shutdown_and_its_job_runs_at_the_next_start(
    command: list[str], make_server: MakeServer, flights: Path, flights_part: Path
) -> None:
    server = make_server(command).start()
    assert server.process is not None
    running = server.upload(flights, date_column=DATE_COLUMN)
    server.wait_done(running, 1)
    slow = SlowUpload(server, flights_part.read_bytes())
    server.process.send_signal(TERM)
    poll(lambda: server.stored(running)[0] == "interrupted", 10, "the shutdown to be under way")

    status, answer = slow.send_rest()

    assert status == 200
    assert server.process.wait(TIMEOUT) in {0, *TERMINATED}
    assert server.stored(answer["Job ID"]) == ("queued", 0)
    assert server.files() == sorted([f"{running}.input", f"{answer['Job ID']}.input"])
    server.start()
    assert server.wait_for(answer["Job ID"], "succeeded", "failed")["state"] == "succeeded"


@pytest.mark.parametrize("what", [TERM, INT], ids=["SIGTERM", "SIGINT"])
def test_a_pause_that_waits_is_answered_during_a_shutdown(
    what: signal.Signals, make_server: MakeServer, tmp_path: Path
) -> None:
    hold = tmp_path / "hold"
    hold.touch()
    server = make_server(HELD_GUNICORN, HOLD=str(hold)).start()
    assert server.process is not None
    server.wait_done("held-job", 1)
    with ThreadPoolExecutor() as pool:
        pause = pool.submit(server.post, "/jobs/held-job/pause?wait=20")
        poll(lambda: server.stored("held-job")[0] == "pausing", 10, "the pause to have arrived")
        server.process.send_signal(what)
        poll(lambda: "Handling signal" in server.log.read_text(), 10, "gunicorn to have the signal")
        hold.unlink()
        status, job = pause.result(20)
    assert (status, job["state"]) == (200, "paused")
    assert server.process.wait(TIMEOUT) == 0
    assert server.stored("held-job") == ("paused", server.count_records("held-job"))


@pytest.mark.parametrize("command", [HELD_GUNICORN, HELD_FLASK], ids=["gunicorn", "flask"])
def test_neither_a_stuck_item_nor_an_endless_upload_extends_the_bound(
    command: list[str], make_server: MakeServer, tmp_path: Path
) -> None:
    bound = 3.0
    hold = tmp_path / "hold"
    hold.touch()
    server = make_server(command, HOLD=str(hold), JOBSVC_SHUTDOWN_TIMEOUT=str(bound)).start()
    process = server.process
    assert process is not None
    server.wait_done("held-job", 1)
    slow = SlowUpload(server, b"a\n" * 1_000_000)
    _, seconds = timed_end(server, TERM, bound)
    slow.close()
    print(f"gone after {seconds:.2f} s")
    assert server.stored("held-job") == ("running", 1)
    hold.unlink()
    server.start()
    server.wait_for("held-job", "succeeded", "failed")
    assert server.query("SELECT row FROM records ORDER BY row") == [(1,), (2,), (3,), (4,), (5,)]
    # gunicorn's master looks ten times a second.
    assert seconds < bound + 0.5


def test_a_second_signal_does_not_break_off_what_the_first_began(make_server: MakeServer, tmp_path: Path) -> None:
    hold = tmp_path / "hold"
    hold.touch()
    server = make_server(HELD_GUNICORN, HOLD=str(hold)).start()
    process = server.process
    assert process is not None
    server.wait_done("held-job", 1)
    worker = server.worker_pid()
    process.send_signal(TERM)
    poll(lambda: "Worker exiting" in server.log.read_text(), 10, "the worker to wait for its run")
    process.send_signal(INT)
    poll(lambda: "Quick shutdown" in server.log.read_text(), 10, "gunicorn to have the second signal")
    # gunicorn then gives its worker two seconds; the run needs one.
    deadline = time.monotonic() + 0.5
    while time.monotonic() < deadline and worker in server.worker_pids():
        time.sleep(0.01)
    hold.unlink()
    assert process.wait(TIMEOUT) == 0
    assert server.stored("held-job") == ("interrupted", server.count_records("held-job"))


def test_a_thousand_kept_threads_and_full_slots_end_within_the_bound(make_server: MakeServer) -> None:
    crowded = [sys.executable, "-m", "tests.process.programs.crowded"]
    server = make_server(crowded, JOBSVC_MAX_RUNNING="4", JOBSVC_PAUSED_THREADS="1000")
    server.start(wait=False)
    process = server.process
    assert process is not None

    def states() -> dict[str, int]:
        assert process.poll() is None or process.returncode in TERMINATED, server.log.read_text()[-3000:]
        try:
            return dict(server.query("SELECT state, count(*) FROM jobs WHERE attempt > 0 GROUP BY state"))
        except Exception:  # There is no database yet.
            return {}

    poll(lambda: states() == {"paused": 1000, "running": 4}, 180, "the crowd to be there")
    threads = len(list(Path(f"/proc/{process.pid}/task").iterdir()))
    assert threads > 1000
    code, seconds = timed_end(server, TERM, TIMEOUT)
    print(f"{threads} threads gone after {seconds:.2f} s")
    assert code in TERMINATED
    assert seconds < TIMEOUT
    assert states() == {"paused": 1000, "interrupted": 4}
    assert "threads left: []" in server.log.read_text()


class FakeClaim:
    key = 1

    def __init__(self, attempt: int) -> None:
        self.attempt = attempt


def test_a_run_that_was_handed_to_a_thread_but_has_not_begun_is_told_of_the_shutdown() -> None:
    claims = [FakeClaim(1), FakeClaim(2)]
    assigned, go_on, told = threading.Event(), threading.Event(), threading.Event()

    def claim() -> FakeClaim | None:
        if claims:
            return claims.pop(0)
        # The dispatcher is back: attempt 2 is behind it.
        assigned.set()
        return None

    def run(claim: FakeClaim, signals: Signals) -> str | None:
        if claim.attempt == 1:
            assert go_on.wait(10)
        elif signals.stop.wait(3):
            told.set()
        return "paused"

    engine: ThreadEngine[FakeClaim, Signals] = ThreadEngine(
        GivenJobs(claim, run), on_leave=lambda: None, slots=3, park_after=60
    )
    engine.start()
    assert assigned.wait(10)
    engine.begin_shut_down()
    go_on.set()
    engine.shut_down(10)
    assert told.is_set()


def test_an_upload_that_outlives_a_reload_is_not_lost_once_it_was_accepted(
    make_server: MakeServer, flights_part: Path
) -> None:
    server = make_server(JOBSVC_SHUTDOWN_TIMEOUT="3").start()
    assert server.process is not None
    old = server.worker_pid()
    slow = SlowUpload(server, flights_part.read_bytes())
    server.process.send_signal(signal.SIGHUP)
    poll(lambda: bool(server.worker_pids() - {old}), 10, "a new worker")
    server.wait_ready()
    poll(lambda: _holder(server) != old, 10, "the old worker to let go of the data directory")
    server.wait_ready()
    try:
        status, answer = slow.send_rest()
    except (OSError, http.client.HTTPException):
        assert server.get("/jobs")["jobs"] == []
        return
    assert status >= 500 or server.wait_for(answer["Job ID"], "succeeded", "failed", seconds=8)["state"] == "succeeded"


def _holder(server: Server) -> int:
    try:
        return int(json.loads((server.data_dir / "jobsvc.lock").read_text())["pid"])
    except ValueError:
        return 0
