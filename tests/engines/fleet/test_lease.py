"""What a worker of the fleet may do for how long without a heartbeat."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import psycopg
import pytest
from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import ConnectorException

from jobsvc.engines.fleet.job_manager import RetryingJobManager
from jobsvc.engines.fleet.lease import CLOSE_AT, END_AT, Lease
from jobsvc.engines.fleet.supervised_worker import SupervisedWorker, Times
from jobsvc.identifiers import EntryId, JobKey, Purpose
from jobsvc.runs.signals import FleetSignals
from tests.support.databases import fresh
from tests.support.processes import ROOT
from tests.support.waiting import TIMEOUT, poll
from tests.support.worker_process import PlainProcess

STALLED_AFTER = 10.0
CLOSE, END = CLOSE_AT * STALLED_AFTER, END_AT * STALLED_AFTER


class Clock:
    def __init__(self) -> None:
        self.now = 0.0
        self.alarms: list[float] = []
        self.lease = Lease(STALLED_AFTER, clock=lambda: self.now, alarm=self.alarms.append)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_no_item_begins_before_the_first_heartbeat_and_long_after_the_last(clock: Clock) -> None:
    lease = clock.lease
    assert lease.is_closed()
    lease.begin(0)
    assert not lease.is_closed()
    clock.now = CLOSE
    assert lease.is_closed()


def test_a_lease_is_counted_from_when_the_heartbeat_was_sent_not_from_its_answer(clock: Clock) -> None:
    clock.lease.begin(0)
    clock.now = 7
    assert clock.lease.renew(3)
    clock.now = 3 + CLOSE
    assert clock.lease.is_closed()


def test_an_answer_that_comes_before_the_end_renews_and_one_that_comes_later_never_does(clock: Clock) -> None:
    lease = clock.lease
    lease.begin(0)
    clock.now = END - 0.01
    assert lease.is_closed()
    assert lease.renew(END - 0.1)
    assert not lease.is_closed()
    clock.now = END - 0.1 + END
    assert not lease.renew(clock.now), "the others may have given the worker up before it was stamped"
    assert lease.is_closed()
    lease.begin(clock.now)
    assert not lease.is_closed()


def test_an_alarm_is_set_for_the_end_as_long_as_items_are_under_way(clock: Clock) -> None:
    lease = clock.lease
    lease.begin(0)
    assert clock.alarms == []
    clock.now = 1
    with lease.items_under_way():
        assert clock.alarms.pop() == END - 1
        with lease.items_under_way():
            clock.now = 2
            assert lease.renew(2)
            assert clock.alarms.pop() == END
            clock.alarms.clear()
        assert clock.alarms == [], "the other run's items are under way still"
    assert clock.alarms == [0]


def test_what_begins_to_look_for_items_when_the_lease_has_ended_ends_no_process(clock: Clock) -> None:
    clock.lease.begin(0)
    clock.now = END
    with clock.lease.items_under_way():
        assert clock.lease.is_closed()
    assert clock.alarms == []


@contextmanager
def process(seconds: float, how: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.support.programs.leased_item", str(seconds), how]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as started:  # type: ignore[call-overload]
        try:
            assert started.stdout.readline() == "under way\n"
            yield started
        finally:
            started.kill()


def alarm_is_pending(pid: int) -> bool:
    [mask] = [line.split()[1] for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "ShdPnd" in line]
    return bool(int(mask, 16) & 1 << signal.SIGALRM - 1)


def test_a_process_that_was_frozen_within_an_item_does_nothing_more_when_it_wakes_up() -> None:
    with process(1, "alarm") as frozen:
        frozen.send_signal(signal.SIGSTOP)
        assert frozen.stdin is not None
        print(file=frozen.stdin, flush=True)
        poll(lambda: alarm_is_pending(frozen.pid), TIMEOUT, "the lease to end")
        frozen.send_signal(signal.SIGCONT)
        said, _ = frozen.communicate(timeout=TIMEOUT)
        assert (frozen.returncode, said) == (-signal.SIGALRM, "")


def test_a_process_that_no_alarm_ends_ends_itself() -> None:
    with process(0.5, "thread") as lone:
        assert lone.wait(TIMEOUT) == 1
        said, why = lone.communicate()
        assert said == ""
        assert "no heartbeat was taken in time, and an item is under way" in why


def test_a_process_without_an_item_under_way_outlives_its_lease() -> None:
    with process(0.1, "done") as idle, process(0.3, "thread") as other:
        assert other.wait(TIMEOUT) == 1
        said, _ = idle.communicate("\n", timeout=TIMEOUT)
        assert (idle.returncode, said) == (0, "called\n")


@pytest.fixture
def url() -> Iterator[str]:
    with fresh("postgresql") as url:
        yield url


def test_a_worker_s_heartbeats_renew_its_lease_until_it_has_ended(
    url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_up: list[float] = []

    async def live() -> None:
        connector = PsycopgConnector(conninfo=url)
        async with App(connector=connector).open_async():
            manager = RetryingJobManager(
                connector, clock.lease, registered=lambda _: None, given_up=lambda: given_up.append(clock.now)
            )
            worker = await manager.register_worker()
            assert not clock.lease.is_closed()
            clock.now = END - 0.01
            # What asks for work first makes sure that it may.
            assert await manager.fetch_job(None, worker) is None
            assert not clock.lease.is_closed()
            sent, ask = clock.now, connector.execute_query_one_async

            async def slowly(*arguments: Any, **more: Any) -> Any:
                clock.now = sent + CLOSE
                return await ask(*arguments, **more)

            with monkeypatch.context() as patch:
                patch.setattr(connector, "execute_query_one_async", slowly)
                await manager.update_heartbeat(worker)
            assert clock.lease.is_closed(), "the time that the answer took counts"
            assert given_up == []
            clock.now += END
            await manager.update_heartbeat(worker)
            assert given_up == [clock.now]
            assert clock.lease.is_closed()

    asyncio.run(live())


def test_an_entry_is_not_fetched_without_a_lease(url: str, clock: Clock) -> None:
    async def live() -> None:
        connector = PsycopgConnector(conninfo=url)
        async with App(connector=connector).open_async():
            manager = RetryingJobManager(connector, clock.lease, registered=lambda _: None, given_up=lambda: None)
            worker = await manager.register_worker()
            with psycopg.connect(url) as connection:
                connection.execute("INSERT INTO procrastinate_jobs (queue_name, task_name) VALUES ('a', 'jobsvc.run')")
            clock.now = END
            assert await manager.fetch_job(None, worker) is None
            clock.lease.begin(clock.now)
            assert await manager.fetch_job(None, worker) is not None

    asyncio.run(live())


def test_an_entry_whose_answer_was_lost_is_given_back_and_those_at_work_are_kept(
    url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def numbers() -> list[int]:
        with psycopg.connect(url) as connection:
            return [number for (number,) in connection.execute("SELECT id FROM procrastinate_jobs ORDER BY id")]

    async def live() -> None:
        connector = PsycopgConnector(conninfo=url)
        running: list[int] = []
        async with App(connector=connector).open_async():
            manager = RetryingJobManager(
                connector, clock.lease, registered=lambda _: None, given_up=lambda: None, running=lambda: running
            )
            worker = await manager.register_worker()
            with psycopg.connect(url) as connection:
                for _ in range(3):
                    connection.execute(
                        "INSERT INTO procrastinate_jobs (queue_name, task_name) VALUES ('a', 'jobsvc.run')"
                    )
            first, lost, third = numbers()
            fetched = await manager.fetch_job(None, worker)
            assert fetched is not None
            assert fetched.id == first
            running.append(first)

            ask = connector.execute_query_one_async

            async def breaks(*arguments: Any, **more: Any) -> Any:
                await ask(*arguments, **more)
                raise ConnectorException from psycopg.OperationalError("the connection is lost")

            with monkeypatch.context() as patch:
                patch.setattr(connector, "execute_query_one_async", breaks)
                assert await manager.fetch_job(None, worker) is None
            assert numbers() == [first, lost, third]
            again = await manager.fetch_job(None, worker)
            assert again is not None
            assert again.id == third
            assert numbers() == [first, third]

    asyncio.run(live())


def test_a_worker_that_waits_for_its_runs_to_leave_has_heartbeats_until_they_have(url: str) -> None:
    begun, end = Event(), Event()

    async def live() -> None:
        connector = PsycopgConnector(conninfo=url)
        worker: SupervisedWorker[FleetSignals] = SupervisedWorker(
            connector,
            Purpose.RUNS,
            ["gated"],
            1,
            Times(heartbeat=0.02, stalled_after=60, sweep_every=1, shutdown=60),
            process=PlainProcess(),
        )

        def hold(key: JobKey, entry: EntryId, signals: FleetSignals) -> None:
            begun.set()
            assert signals.stop.wait(TIMEOUT)
            assert end.wait(TIMEOUT)

        worker.add_task("hold", hold)
        beats: list[float] = []
        renew = worker._lease.renew

        def noted(sent: float) -> bool:
            beats.append(sent)
            return renew(sent)

        worker._lease.renew = noted  # type: ignore[method-assign]
        ended = asyncio.Event()
        async with worker.app.open_async():
            await worker.app.configure_task("hold", queue="gated").defer_async(key=1)
            work = asyncio.ensure_future(worker.supervise(ended))
            await asyncio.to_thread(begun.wait, TIMEOUT)
            ended.set()
            worker.stop()
            so_far = len(beats)
            async with asyncio.timeout(TIMEOUT):
                while len(beats) < so_far + 3:
                    await asyncio.sleep(0.01)
            end.set()
            await work

    asyncio.run(live())
