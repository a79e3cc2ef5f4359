"""`make fleet`: a whole fleet on one machine, whose parts may be killed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobsvc.process.local_members import FIRST_DELAY_SECONDS, MAX_DELAY_SECONDS, STEADY_SECONDS, Pace
from tests.support.fleet import FAST
from tests.support.server import Server
from tests.support.waiting import poll

COMMAND = [sys.executable, "-m", "jobsvc", "fleet"]


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Callable[[], Server]]:
    """Makes runners of the same fleet; they and what they have started are killed at the end."""
    runners: list[Server] = []

    def make() -> Server:
        settings = {"DATABASE_URL": "", "JOBSVC_KINDS": "tests.support.ticks:Ticks", **FAST}
        runner = Server(tmp_path / "data", COMMAND, **settings)
        runner.log = tmp_path / f"runner-{len(runners)}.log"
        runners.append(runner)
        return runner

    yield make
    pids = [pid for runner in runners for pid in started(runner).values()]
    postmaster = tmp_path / "data" / "fleet" / "postgresql" / "postmaster.pid"
    if postmaster.exists():
        pids.append(postmaster_pid(tmp_path / "data"))
    for runner in runners:
        if runner.process is not None and runner.process.poll() is None:
            runner.kill()
    for pid in pids:
        if alive(pid):
            os.kill(pid, signal.SIGKILL)


def started(runner: Server) -> dict[str, int]:
    """The number of each member's latest process, as the runner told it."""
    told = [line.split(" | started, process ") for line in runner.log.read_text().splitlines() if "started, pr" in line]
    return {name.strip(): int(pid) for name, pid in told}


def postmaster_pid(data_dir: Path) -> int:
    return int((data_dir / "fleet" / "postgresql" / "postmaster.pid").read_text().split()[0])


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not yet reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def workers(runner: Server) -> dict[str, int]:
    return {worker["name"]: worker["pid"] for worker in runner.get("/workers")["workers"]}


def test_it_runs_jobs_starts_again_whatever_is_killed_and_ends_with_all_of_it(local: Callable[[], Server]) -> None:
    runner = local().start()
    poll(lambda: len(workers(runner)) == 2, 30, "both workers to be there")

    status, job = runner.post("/kinds/ticks/jobs", {"count": 1000})
    assert status in (200, 201, 202), job
    runner.wait_done(job["id"], 1)
    victim = next(w for w in runner.get("/workers")["workers"] if w["running"])
    os.kill(victim["pid"], signal.SIGKILL)
    poll(lambda: started(runner)[victim["name"]] != victim["pid"], 30, "the worker to be started again")
    poll(lambda: runner.job(job["id"])["attempt"] == 2, 30, "its job to go on")

    os.kill(postmaster_pid(runner.data_dir), signal.SIGKILL)
    poll(lambda: "PostgreSQL has ended" in runner.log.read_text(), 30, "that to be noticed")
    runner.wait_ready()
    runner.wait_for(job["id"], "succeeded", seconds=60)
    poll(lambda: workers(runner) == {n: pid for n, pid in started(runner).items() if n != "web"}, 30, "both workers")

    pids = [*started(runner).values(), postmaster_pid(runner.data_dir)]
    assert runner.stop() == 0, runner.log.read_text()
    assert [pid for pid in pids if alive(pid)] == []


def test_a_second_one_is_refused_and_one_that_was_killed_leaves_nothing_in_the_way(
    local: Callable[[], Server],
) -> None:
    runner = local().start()
    second = local().start(wait=False)
    assert second.process is not None
    assert second.process.wait(30) == 1
    assert f"is in use by process {runner.process.pid if runner.process else 0} " in second.log.read_text()

    pids = list(started(runner).values())
    assert len(pids) == 3
    assert runner.process is not None
    runner.process.kill()
    runner.process.wait()
    poll(lambda: not any(alive(pid) for pid in pids), 30, "its processes to end")

    again = local().start()
    poll(lambda: len(workers(again)) == 2, 30, "both workers to be there")
    postmaster = postmaster_pid(again.data_dir)
    assert again.stop() == 0, again.log.read_text()
    assert not alive(postmaster)


def test_what_ends_again_and_again_is_started_later_each_time() -> None:
    pace, now, pauses = Pace(0), 1.0, []
    for _ in range(8):
        pause = pace.ended(now)
        assert pause is not None
        assert pace.ended(now + pause / 2) is None
        assert not pace.is_due(now + pause / 2)
        assert pace.is_due(now + pause)
        now += pause
        pace.started(now)
        pauses.append(pause)
        now += STEADY_SECONDS / 2
    assert pauses == [FIRST_DELAY_SECONDS * 2**n for n in range(5)] + [MAX_DELAY_SECONDS] * 3
    assert pace.ended(now + STEADY_SECONDS) == FIRST_DELAY_SECONDS
