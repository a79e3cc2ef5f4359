from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier, Event, Lock
from time import monotonic
from typing import Any, ClassVar

import pytest
from flask import Flask
from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, insert, select

from jobsvc.jobs.job import Job
from jobsvc.jobs.states import State
from jobsvc.kinds import Item, JobContext, JobInfo, KindParams, OutputFile, Refused, Retry, RowKind, Source
from jobsvc.kinds.pacing import Pacer
from jobsvc.service.new_job import NewJob, checked
from jobsvc.store.database import Database
from jobsvc.testing import run
from jobsvc.web.services import Services
from tests.support.gated import Gate
from tests.support.waiting import TIMEOUT, poll, wait_for

USER = "Jon-Doe"

own = MetaData()
notes = Table("notes", own, Column("id", Integer, primary_key=True), Column("n", Integer), Column("what", String))


class To(KindParams):
    to: int = 6
    dry_run: bool = False


class Numbers(RowKind):
    """Notes the numbers from 1 to `to`, after doing `act` with each."""

    name = "numbers"
    tables = own
    takes_file = False
    Params = To

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.asked_for: list[Any] = []
        self.closed = 0

    def source(self, context: JobContext, after: Any) -> Source:
        self.asked_for.append(after)
        return Source(self._numbers(after or 0, context.params.to), size=context.params.to)

    def _numbers(self, after: int, to: int) -> Iterator[tuple[int, int]]:
        try:
            for n in range(after + 1, to + 1):
                yield n, n
        finally:
            self.closed += 1

    def process(self, row: int, item: Item) -> None:
        self.begun.append(row)
        item.execute(insert(notes).values(n=row, what=item.key))
        self.act(row)

    def act(self, n: int) -> None: ...


class Environment:
    """An application with one kind, and a way to its jobs."""

    def __init__(self, app: Flask, kind: RowKind) -> None:
        self.services: Services = app.extensions["jobsvc"]
        self.jobs = self.services.jobs
        self.kind = kind
        self.database = Database(self.services.settings.url)

    def submit(self, **params: Any) -> str:
        job_id = self.jobs.new_id(USER, self.kind.name)
        found = checked(self.kind, params, None, self.services.results)
        return self.jobs.submit(NewJob(id=job_id, kind=self.kind.name, user=USER, params=found.params)).id

    def pause(self, job_id: str) -> Job:
        return self.jobs.pause(job_id, USER, TIMEOUT)

    def resume(self, job_id: str) -> None:
        self.jobs.resume(job_id, USER, TIMEOUT)

    def wait(self, job_id: str, *states: State) -> Job:
        return wait_for(self.services, job_id, *states)

    def noted(self) -> list[int]:
        """What the database has, in the order in which it got there."""
        with self.database.read() as connection:
            return list(connection.execute(select(notes.c.n).order_by(notes.c.id)).scalars())


@pytest.fixture
def env(make_app: Callable[..., Flask]) -> Iterator[Callable[[RowKind], Environment]]:
    made: list[Environment] = []

    def make(kind: RowKind) -> Environment:
        made.append(Environment(make_app(kinds=[kind]), kind))
        return made[-1]

    yield make
    for one in made:
        one.database.close()


class TestRefusalsAndFailures:
    def test_a_refused_item_has_no_effect_and_the_job_goes_on(self):
        class Picky(Numbers):
            def act(self, n: int) -> None:
                if n % 2 == 0:
                    raise Refused(f"{n} is even")

        outcome = run(Picky())
        assert (outcome.state, outcome.done, outcome.failed) == ("succeeded", 3, 3)
        assert outcome.refused == [(2, "2 is even"), (4, "4 is even"), (6, "6 is even")]
        assert [row["n"] for row in outcome.tables["notes"]] == [1, 3, 5]

    @pytest.mark.parametrize("at_once", [1, 3])
    def test_an_exception_fails_the_job_and_resume_goes_on_at_the_item(
        self, env: Callable[[RowKind], Environment], at_once: int
    ):
        class Broken(Numbers):
            concurrency = at_once
            broken = True

            def act(self, n: int) -> None:
                if n == 4 and self.broken:
                    raise ZeroDivisionError("no such thing")

        kind = Broken()
        h = env(kind)
        job = h.wait(h.submit(), State.FAILED)
        assert (job.done, job.error) == (3, "ZeroDivisionError: no such thing")
        assert h.noted() == [1, 2, 3]
        kind.broken = False
        h.resume(job.id)
        assert h.wait(job.id, State.SUCCEEDED).done == 6
        assert h.noted() == [1, 2, 3, 4, 5, 6]
        if at_once == 1:
            assert kind.begun == [1, 2, 3, 4, 4, 5, 6]

    def test_an_item_that_is_tried_in_another_run_has_the_same_key_and_a_higher_attempt(
        self, env: Callable[[RowKind], Environment]
    ):
        class Fenced(Numbers):
            calls: ClassVar[list[tuple[str, int]]] = []

            def process(self, row: int, item: Item) -> None:
                if row == 2:
                    self.calls.append((item.key, item.attempt))
                    if item.attempt == 1:
                        raise ZeroDivisionError

        h = env(Fenced())
        job = h.wait(h.submit(), State.FAILED)
        h.resume(job.id)
        h.wait(job.id, State.SUCCEEDED)
        assert Fenced.calls == [(f"{job.id}:2", 1), (f"{job.id}:2", 2)]

    @pytest.mark.parametrize("at_once", [1, 3])
    def test_a_source_that_fails_leaves_what_came_before(self, env: Callable[[RowKind], Environment], at_once: int):
        class BadSource(Numbers):
            concurrency = at_once

            def _numbers(self, after: int, to: int) -> Iterator[tuple[int, int]]:
                for n in range(after + 1, to + 1):
                    if n == 3 and len(self.asked_for) == 1:
                        raise OSError("the source is gone")
                    yield n, n

        h = env(BadSource())
        job = h.wait(h.submit(), State.FAILED)
        assert (job.done, job.error) == (2, "OSError: the source is gone")
        h.resume(job.id)
        h.wait(job.id, State.SUCCEEDED)
        assert h.noted() == [1, 2, 3, 4, 5, 6]


class TestRetry:
    def test_an_item_is_tried_again_and_what_the_failed_try_handed_in_is_forgotten(self):
        class Shaky(Numbers):
            retry = Retry(on=(ConnectionError,), attempts=3, first_delay=0)

            def act(self, n: int) -> None:
                if self.begun.count(n) < 3:
                    raise ConnectionError

        outcome = run(Shaky(), params={"to": 2})
        assert outcome.state == "succeeded"
        assert [row["n"] for row in outcome.tables["notes"]] == [1, 2]

    def test_after_the_last_try_its_exception_fails_the_job(self):
        class Down(Numbers):
            retry = Retry(on=(ConnectionError,), attempts=3, first_delay=0)

            def act(self, n: int) -> None:
                raise ConnectionError(f"try {len(self.begun)}")

        outcome = run(Down())
        assert (outcome.state, outcome.error) == ("failed", "ConnectionError: try 3")

    @pytest.mark.parametrize("error", [Refused("no"), KeyError("x")])
    def test_what_is_not_named_and_a_refusal_are_not_tried_again(self, error: Exception):
        class Other(Numbers):
            retry = Retry(on=(ValueError,) if isinstance(error, KeyError) else (Exception,), first_delay=0)

            def act(self, n: int) -> None:
                raise error

        kind = Other()
        run(kind, params={"to": 1})
        assert kind.begun == [1]

    @pytest.mark.parametrize("at_once", [1, 2])
    def test_a_stop_ends_a_long_pause_at_once(self, env: Callable[[RowKind], Environment], at_once: int):
        class Shaky(Numbers):
            retry = Retry(on=(ConnectionError,), first_delay=600, max_delay=600)
            concurrency = at_once
            down = True

            def __init__(self) -> None:
                super().__init__()
                self.failed = Event()

            def act(self, n: int) -> None:
                if n == 3 and self.down:
                    self.failed.set()
                    raise ConnectionError

        kind = Shaky()
        h = env(kind)
        job_id = h.submit()
        assert kind.failed.wait(TIMEOUT)
        before = monotonic()
        job = h.pause(job_id)
        assert monotonic() - before < TIMEOUT
        assert (job.state, job.done) == (State.PAUSED, 2)
        assert kind.begun.count(3) == 1, "no further try once a stop was asked for"
        kind.down = False
        h.resume(job_id)
        h.wait(job_id, State.SUCCEEDED)
        assert h.noted() == [1, 2, 3, 4, 5, 6]


class Clock:
    """A time that passes only where somebody waits, or says so. Also a StopSign."""

    def __init__(self) -> None:
        self.now = 100.0
        self.stopped = False

    def __call__(self) -> float:
        return self.now

    def is_set(self) -> bool:
        return self.stopped

    def wait(self, timeout: float | None = None) -> bool:
        if not self.stopped:
            self.now += timeout or 0.0
        return self.stopped


class TestRate:
    def test_items_are_spaced_evenly_also_after_a_slow_one(self):
        clock = Clock()
        pacer = Pacer(4, clock)
        begun = []
        for n in range(6):
            assert pacer.wait(clock)
            begun.append(clock.now - 100)
            if n == 2:
                clock.now += 2
        assert begun == pytest.approx([0, 0.25, 0.5, 2.5, 2.75, 3.0])

    def test_a_stop_ends_the_wait_and_the_item_does_not_begin(self):
        clock = Clock()
        pacer = Pacer(0.5, clock)
        assert pacer.wait(clock)
        clock.stopped = True
        assert not pacer.wait(clock)
        clock.stopped = False
        assert pacer.wait(clock)
        assert clock.now == pytest.approx(102)

    def test_a_pause_is_obeyed_while_the_next_item_waits_its_turn(self, env: Callable[[RowKind], Environment]):
        class Rare(Numbers):
            rate = 1 / 3600

            def __init__(self) -> None:
                super().__init__()
                self.done = Event()

            def act(self, n: int) -> None:
                self.done.set()

        kind = Rare()
        h = env(kind)
        job_id = h.submit()
        assert kind.done.wait(TIMEOUT)
        job = h.pause(job_id)
        assert (job.state, job.done) == (State.PAUSED, 1)
        assert kind.begun == h.noted() == [1]


class TestConcurrency:
    def test_so_many_are_under_way_at_once_and_no_more(self):
        class Together(Numbers):
            concurrency = 3

            def __init__(self) -> None:
                super().__init__()
                self.barrier = Barrier(3)
                self.lock = Lock()
                self.inside = self.most = 0

            def act(self, n: int) -> None:
                with self.lock:
                    self.inside += 1
                    self.most = max(self.most, self.inside)
                self.barrier.wait(TIMEOUT)
                with self.lock:
                    self.inside -= 1

        kind = Together()
        assert run(kind, params={"to": 9}).done == 9
        assert kind.most == 3

    def test_a_slow_item_does_not_hold_up_the_others_and_effects_keep_their_order(
        self, env: Callable[[RowKind], Environment]
    ):
        class SlowFirst(Numbers):
            concurrency = 2

            def __init__(self) -> None:
                super().__init__()
                self.others_done = Event()

            def act(self, n: int) -> None:
                if n == 1:
                    assert self.others_done.wait(TIMEOUT)
                elif n == 6:
                    self.others_done.set()

        h = env(SlowFirst())
        h.wait(h.submit(), State.SUCCEEDED)
        assert h.noted() == [1, 2, 3, 4, 5, 6]

    def test_a_pause_waits_for_what_is_under_way_and_begins_nothing_more(self, env: Callable[[RowKind], Environment]):
        gate = Gate()

        class Gated(Numbers):
            name = "gatedNumbers"
            concurrency = 3

            def act(self, n: int) -> None:
                gate.pass_through()

        kind = Gated()
        h = env(kind)
        job_id = h.submit(to=10)
        gate.wait_reached(3)
        assert h.jobs.pause(job_id, USER, 0).state is State.PAUSING
        gate.open(3)
        job = h.wait(job_id, State.PAUSED)
        assert (sorted(kind.begun), h.noted(), job.done, job.position) == ([1, 2, 3], [1, 2, 3], 3, 3)
        gate.open()
        h.resume(job_id)
        h.wait(job_id, State.SUCCEEDED)
        assert h.noted() == list(range(1, 11))
        assert len(kind.begun) == 10


class TestOwnSource:
    def test_it_is_asked_for_what_is_behind_the_cursor_and_closed_at_every_stop(
        self, env: Callable[[RowKind], Environment]
    ):
        gate = Gate()

        class Gated(Numbers):
            def act(self, n: int) -> None:
                gate.pass_through()

        kind = Gated()
        h = env(kind)
        job_id = h.submit()
        gate.open(2)
        gate.wait_reached(3)
        h.jobs.pause(job_id, USER, 0)
        gate.open(1)
        assert h.wait(job_id, State.PAUSED).percent == 50.0
        # Its run closes it right after the commit that is seen here.
        poll(lambda: kind.closed == 1, TIMEOUT, "it to be closed")
        gate.open()
        h.resume(job_id)
        h.wait(job_id, State.SUCCEEDED)
        assert kind.asked_for == [None, 3]
        assert kind.begun == h.noted() == [1, 2, 3, 4, 5, 6]

    def test_one_without_items_succeeds(self):
        assert run(Numbers(), params={"to": 0}).state == "succeeded"


def opened(kind: RowKind, tmp_path: Path, csv: str) -> JobContext:
    (tmp_path / "input").write_text(csv)

    def read() -> AbstractContextManager[Connection]:
        return nullcontext()  # type: ignore[return-value]

    def no_output(mark: Any) -> OutputFile:
        raise AssertionError("a row kind makes no file")

    params = kind.Params()
    path = tmp_path / "input"
    return JobContext(
        key=1,
        id="J",
        params=params,
        created_at=datetime.now(UTC),
        cursor=None,
        columns=None,
        attempt=1,
        open_input=lambda: path.open("rb"),
        open_output=no_output,
        read=read,
        stopped=Event(),
        batch_items=lambda: 100,
    )


@pytest.mark.parametrize("at_once", [1, 4])
@pytest.mark.parametrize("from_file", [True, False])
def test_slow_items_are_committed_about_every_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, from_file: bool, at_once: int
):
    clock = Clock()
    lock = Lock()
    monkeypatch.setattr("jobsvc.kinds.item_work.monotonic", clock)

    class Slow(RowKind):
        name = "slow"
        takes_file = from_file
        concurrency = at_once

        def source(self, context: JobContext, after: Any) -> Source:
            return Source((n, n) for n in range(9))

        def process(self, row: Any, item: Item) -> None:
            with lock:
                clock.now += 0.4

    kind = Slow()
    batches = []
    with kind.open(opened(kind, tmp_path, "n\n" + "1\n" * 9)) as work:
        for batch in work.batches():
            items, stopped = work.take(batch, lambda: False)
            assert not stopped
            batches.append([item.number for item in items])
            batch.end(len(items))
    assert [number for numbers in batches for number in numbers] == list(range(1, 10))
    if at_once == 1:
        assert batches[:3] == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    else:
        assert len(batches) > 1


def test_refused_rows_are_told_once_where_a_checkpoint_cuts_between_them(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("jobsvc.kinds.item_work.SECONDS_PER_CHECKPOINT", 0)

    class Rows(RowKind):
        name = "rows"

        def process(self, row: Any, item: Item) -> None: ...

    outcome = run(Rows(), "a,b\nx\n1,2\nx\nx\n1,2\n1,2\nx\n")
    assert (outcome.done, [line for line, _ in outcome.refused]) == (3, [2, 4, 5, 8])
    outcome = run(Rows(), "a,b\n1,2\nx\n1,2\nx\nx\n1,2\n", {"max_failed": 1})
    assert (outcome.state, outcome.done, [line for line, _ in outcome.refused]) == ("failed", 2, [3, 5])


class Hooked(Numbers):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.gate = Gate()
        self.broken = False

    def act(self, n: int) -> None:
        self.gate.pass_through()
        if self.broken:
            raise RuntimeError("broken")

    def wait_called(self, times: int) -> None:
        """A hook reads the job once its change is committed: who resumes the job at once may be ahead of it."""
        poll(lambda: len(self.calls) == times, TIMEOUT, f"{times} calls")

    def on_start(self, job: JobInfo) -> None:
        self.calls.append("start")

    def on_resume(self, job: JobInfo) -> None:
        self.calls.append("resume")

    def on_pause(self, job: JobInfo) -> None:
        self.calls.append(f"pause {job.done}")

    def on_success(self, job: JobInfo) -> None:
        self.calls.append(f"success {job.done} {job.params.to} {job.user}")

    def on_failure(self, job: JobInfo) -> None:
        self.calls.append(f"failure {job.error}")

    def on_terminate(self, job: JobInfo) -> None:
        self.calls.append("terminate")


class TestHooks:
    def test_each_is_called_when_it_happens(self, env: Callable[[RowKind], Environment]):
        kind = Hooked()
        h = env(kind)
        job_id = h.submit(to=3)
        kind.gate.wait_reached(1)
        h.jobs.pause(job_id, USER, 0)
        kind.gate.open(1)
        h.wait(job_id, State.PAUSED)
        kind.wait_called(2)
        h.resume(job_id)
        kind.gate.wait_reached(2)
        kind.broken = True
        kind.gate.open()
        h.wait(job_id, State.FAILED)
        kind.wait_called(4)
        kind.broken = False
        h.resume(job_id)
        h.wait(job_id, State.SUCCEEDED)
        h.services.close()
        assert kind.calls == [
            "start",
            "pause 1",
            "resume",
            "failure RuntimeError: broken",
            "resume",
            "success 3 3 Jon-Doe",
        ]

    def test_terminate_is_told(self, env: Callable[[RowKind], Environment]):
        kind = Hooked()
        h = env(kind)
        job_id = h.submit()
        kind.gate.wait_reached(1)
        h.jobs.terminate(job_id, USER, 0)
        kind.gate.open()
        h.wait(job_id, State.TERMINATED)
        h.services.close()
        assert kind.calls == ["start", "terminate"]

    def test_a_start_that_failed_is_done_again(self, env: Callable[[RowKind], Environment]):
        class Unready(Hooked):
            def on_start(self, job: JobInfo) -> None:
                super().on_start(job)
                if len(self.calls) == 1:
                    raise OSError("not yet")

        kind = Unready()
        kind.gate.open()
        h = env(kind)
        job = h.wait(h.submit(to=1), State.FAILED)
        assert job.error == "OSError: not yet"
        kind.wait_called(2)
        h.resume(job.id)
        h.wait(job.id, State.SUCCEEDED)
        h.services.close()
        assert kind.calls == ["start", "failure OSError: not yet", "start", "success 1 1 Jon-Doe"]

    def test_one_that_tells_and_fails_changes_nothing(self):
        class Clumsy(Numbers):
            def on_success(self, job: JobInfo) -> None:
                raise RuntimeError

        assert run(Clumsy()).state == "succeeded"


def test_a_dry_run_makes_nothing_and_tells_items_so():
    told: list[bool] = []

    class Dry(Numbers):
        def process(self, row: int, item: Item) -> None:
            told.append(item.dry_run)
            super().process(row, item)

    outcome = run(Dry(), params={"dry_run": True, "to": 2})
    assert (outcome.state, outcome.done, outcome.tables["notes"], told) == ("succeeded", 2, [], [True, True])


def test_an_item_can_read_what_is_committed():
    found: list[int] = []

    class Reading(Numbers):
        def process(self, row: int, item: Item) -> None:
            with item.read() as connection:
                found.append(connection.execute(select(notes.c.n)).scalar_one())

    run(Reading(), params={"to": 1}, before=lambda connection: connection.execute(insert(notes).values(n=7)))
    assert found == [7]
