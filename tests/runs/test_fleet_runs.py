"""Jobs and their entries in the fleet's queue, with nobody at work but the test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Semaphore, Thread
from typing import Any

import pytest
from sqlalchemy import Connection, text

from jobsvc.clock import now
from jobsvc.engines.fleet.queue import AHEAD, ROLLBACK_QUEUE
from jobsvc.files.local.files import LocalFiles
from jobsvc.jobs.errors import QueueFull
from jobsvc.jobs.job import Job
from jobsvc.jobs.states import Rollback, State
from jobsvc.kinds.contract import JobInfo, Kind
from jobsvc.kinds.csv.work import CsvWork
from jobsvc.kinds.item_work import ItemWork
from jobsvc.process.fleet_engines import FleetQueues
from jobsvc.runs import fleet_runs
from jobsvc.runs.checkpoints.order import Checkpoints
from jobsvc.runs.fleet_runs import FleetRuns
from jobsvc.runs.runner import Runner
from jobsvc.runs.signals import FleetSignals, Signals
from jobsvc.service.core import Core
from jobsvc.service.jobs import JobService
from jobsvc.service.new_job import NewJob
from jobsvc.settings import Settings
from jobsvc.store.database import Database
from jobsvc.store.queries import job_rows
from tests.support.databases import fresh
from tests.support.gated import Gated, _GatedWork
from tests.support.leases import Paper
from tests.support.waiting import TIMEOUT

WHO = "Ann"


@dataclass
class Entry:
    """A row of Procrastinate's table."""

    id: int
    queue_name: str
    status: str
    priority: int
    abort_requested: bool


@dataclass
class Post:
    """A web process and a worker in one, that do nothing by themselves."""

    database: Database
    files: LocalFiles
    service: JobService
    fleet: FleetRuns
    manual: FleetRuns
    """The same, told to leave interrupted jobs alone."""
    runner: Runner
    gated: Gated
    kinds: dict[str, Kind]

    def submit(self, **params: int) -> Job:
        job_id = self.service.new_id(WHO, "gated")
        return self.service.submit(NewJob(id=job_id, kind="gated", user=WHO, params=params))

    def job(self, job: Job) -> Job:
        return self.service.get(job.id)

    def entries(self) -> list[Entry]:
        query = text(
            "SELECT id, queue_name, status::text, priority, abort_requested FROM procrastinate_jobs ORDER BY id"
        )
        with self.database.read() as connection:
            return [Entry(*row) for row in connection.execute(query)]

    def fetch(self) -> tuple[int, int]:
        """Take the next entry as Procrastinate does; returns its job's key, and its number."""
        query = text(
            "SELECT (f.args ->> 'key')::bigint, f.id FROM procrastinate_register_worker_v1() AS w, "
            "LATERAL procrastinate_fetch_job_v2(NULL, w.worker_id) AS f"
        )
        with self.database.write() as connection:
            key, entry = connection.execute(query).one()
        return key, entry

    def lose(self, entry: int) -> None:
        """What happens to an entry whose worker is given up."""
        with self.database.write() as connection:
            connection.execute(text("DELETE FROM procrastinate_jobs WHERE id = :entry"), {"entry": entry})

    def set_state(self, job: Job, state: State, **values: object) -> None:
        with self.database.write() as connection:
            current = Job.from_row(job_rows.by_key(connection, job.key))
            values = {"state": state, **values}
            assert job_rows.change(connection, job.key, attempt=current.attempt, state=current.state, values=values)

    def rows(self, job: Job) -> list[int]:
        with self.database.read() as connection:
            query = text("SELECT row FROM records WHERE job_key = :key ORDER BY row")
            return list(connection.execute(query, {"key": job.key}).scalars())

    def seconds_until_due(self) -> list[float | None]:
        """How long each entry has to wait still; None: it never had to."""
        query = text("SELECT extract(epoch FROM scheduled_at - clock_timestamp()) FROM procrastinate_jobs ORDER BY id")
        with self.database.read() as connection:
            return [None if seconds is None else float(seconds) for seconds in connection.execute(query).scalars()]

    def run_on_a_thread(self, key: int, entry: int, signals: Signals) -> Thread:
        thread = Thread(target=self.fleet.run, args=(key, entry, signals))
        thread.start()
        return thread


def never(connection: Connection, job: Job) -> None:
    raise AssertionError(f"{job.id} was put back")


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    gated = Gated()
    kinds: dict[str, Kind] = {"gated": gated}
    with fresh("postgresql") as url:
        database = Database(Settings(database_url=url).url)
        files = LocalFiles(tmp_path / "files")
        core = Core.on(database, files, kinds, now, Settings(max_queued=5))
        queues = FleetQueues.make(core.runner.users)
        fleet, manual = (core.fleet_runs(queues.runs, queues.rollbacks, resume=resume) for resume in (True, False))
        service = core.service(queues.runs, queues.rollbacks)
        yield Post(database, files, service, fleet, manual, core.runner, gated, kinds)
        gated.gate.open()
        database.close()


def test_a_job_and_its_entry_are_there_together_or_not_at_all(post: Post) -> None:
    jobs = [post.submit() for _ in range(5)]
    with pytest.raises(QueueFull):
        post.submit()
    assert [(e.queue_name, e.status, e.priority) for e in post.entries()] == [
        ("gated", "todo", -n) for n in range(1, 6)
    ]
    assert [post.job(job).queue_entry for job in jobs] == [entry.id for entry in post.entries()]


def test_an_entry_runs_its_job_to_the_end(post: Post) -> None:
    job = post.submit(count=3)
    post.gated.gate.open()
    key, entry = post.fetch()
    assert key == job.key
    post.fleet.run(key, entry, Signals())
    assert post.job(job).state is State.SUCCEEDED
    assert post.rows(job) == [1, 2, 3]


def test_an_entry_whose_worker_has_no_room_waits_until_there_is_some_or_the_run_is_to_stop(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_runs, "LOOK_SECONDS", 0.01)
    room = post.fleet._room
    looks, shortage = Semaphore(0), ["the disk is full"]

    def look() -> str | None:
        looks.release()
        return shortage[0] if shortage else None

    monkeypatch.setattr(room, "shortage", look)
    jobs = [post.submit(count=1), post.submit(count=1)]
    post.gated.gate.open()
    signals = Signals()
    stopped = post.run_on_a_thread(*post.fetch(), signals)
    for _ in range(3):
        assert looks.acquire(timeout=TIMEOUT)
    post.service.pause(jobs[0].id, WHO, 0)
    signals.stop.set()
    stopped.join(TIMEOUT)
    assert (post.job(jobs[0]).state, post.job(jobs[0]).attempt) == (State.PAUSED, 0)
    going_on = post.run_on_a_thread(*post.fetch(), Signals())
    for _ in range(3):
        assert looks.acquire(timeout=TIMEOUT)
    assert post.job(jobs[1]).attempt == 0
    shortage.clear()
    going_on.join(TIMEOUT)
    assert post.job(jobs[1]).state is State.SUCCEEDED


def test_pausing_a_queued_job_takes_its_entry_back_and_resuming_gives_it_another(post: Post) -> None:
    job = post.submit()
    old = post.job(job).queue_entry
    assert old is not None
    assert post.service.pause(job.id, WHO, 0).state is State.PAUSED
    assert post.entries() == []
    post.service.resume(job.id, WHO, 0)
    [entry] = post.entries()
    assert entry.id != old
    post.fleet.run(job.key, old, Signals())
    assert post.job(job).attempt == 0, "an old entry began a run"


def test_an_entry_that_was_fetched_when_its_job_was_paused_runs_nothing(post: Post) -> None:
    job = post.submit()
    key, entry = post.fetch()
    post.service.pause(job.id, WHO, 0)
    post.fleet.run(key, entry, Signals())
    assert (post.job(job).state, post.job(job).attempt) == (State.PAUSED, 0)


def test_a_request_to_stop_reaches_the_run_through_its_entry(post: Post) -> None:
    job = post.submit(count=10, batch=10)
    key, entry = post.fetch()
    wanted: list[bool] = []

    def should_abort() -> bool:
        wanted.append(post.entries()[0].abort_requested)
        return wanted[-1]

    thread = post.run_on_a_thread(key, entry, FleetSignals(should_abort))
    post.gated.gate.wait_reached(1)
    assert post.service.pause(job.id, WHO, 0).state is State.PAUSING
    post.gated.gate.open()
    thread.join(TIMEOUT)
    assert post.job(job).state is State.PAUSED
    assert post.rows(job) == [1]
    assert wanted == [False, True] or wanted[-1]


def test_a_stop_is_obeyed_at_the_next_commit_though_its_abort_was_never_seen(post: Post) -> None:
    job = post.submit(count=10, batch=2)
    key, entry = post.fetch()
    thread = post.run_on_a_thread(key, entry, FleetSignals(lambda: False))
    post.gated.gate.wait_reached(1)
    post.service.pause(job.id, WHO, 0)
    post.gated.gate.open()
    thread.join(TIMEOUT)
    assert post.job(job).state is State.PAUSED
    assert post.rows(job) == [1, 2]


def test_a_run_that_leaves_with_its_worker_has_its_job_queued_ahead_of_others_at_once(post: Post) -> None:
    job = post.submit(count=10)
    key, entry = post.fetch()
    other = post.submit()
    signals = Signals()
    thread = post.run_on_a_thread(key, entry, signals)
    post.gated.gate.wait_reached(1)
    signals.shut_down()
    post.gated.gate.open()
    thread.join(TIMEOUT)
    left = post.job(job)
    assert left.state is State.QUEUED
    assert post.rows(job) == [1]
    assert left.queue_entry != entry
    assert [e.priority for e in post.entries() if e.id == left.queue_entry] == [AHEAD]
    assert post.fetch() == (job.key, left.queue_entry)
    assert [line["to"] for line in post.service.events(job.id)] == ["queued", "running", "interrupted", "queued"]
    assert post.job(other).state is State.QUEUED


def test_a_run_whose_lease_has_run_out_begins_no_further_item_and_hands_its_job_over(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease, at_commit, commit = Paper(), list[int](), Checkpoints.commit

    def noted(*arguments: Any, **more: Any) -> State:
        at_commit.append(lease.under_way)
        return commit(*arguments, **more)

    monkeypatch.setattr(Checkpoints, "commit", noted)
    job = post.submit(count=10, batch=2)
    key, entry = post.fetch()
    thread = post.run_on_a_thread(key, entry, FleetSignals(lambda: False, lease))
    post.gated.gate.open(2)
    post.gated.gate.wait_reached(3)
    assert lease.under_way == 1
    lease.closed = True
    post.gated.gate.open()
    thread.join(TIMEOUT)
    left = post.job(job)
    assert (left.state, post.rows(job), post.gated.gate.reached) == (State.QUEUED, [1, 2, 3], 3)
    assert left.queue_entry != entry
    assert at_commit == [0, 0], "nothing is under way while it is written down"


def test_rows_that_are_only_read_keep_no_process_from_outliving_its_lease() -> None:
    assert _GatedWork.acts_at_once()
    assert ItemWork.acts_at_once()
    assert not CsvWork.acts_at_once()


@pytest.mark.parametrize(
    ("state", "after", "has_entry"),
    [
        (State.QUEUED, State.QUEUED, True),
        (State.RUNNING, State.QUEUED, True),
        (State.INTERRUPTED, State.QUEUED, True),
        (State.PAUSING, State.PAUSED, False),
        (State.TERMINATING, State.TERMINATED, False),
        (State.PAUSED, State.PAUSED, False),
        (State.SUCCEEDED, State.SUCCEEDED, False),
        (State.FAILED, State.FAILED, False),
    ],
)
def test_a_job_whose_worker_was_given_up_goes_where_it_can_go_on(
    post: Post, state: State, after: State, has_entry: bool
) -> None:
    job = post.submit()
    _, entry = post.fetch()
    post.set_state(job, state, attempt=1)
    assert post.fleet.recover() == 0, "its worker is alive"
    assert post.job(job).state is state
    post.lose(entry)
    post.fleet.recover()
    assert post.job(job).state is after
    assert [e.id for e in post.entries()] == ([post.job(job).queue_entry] if has_entry else [])
    assert post.fleet.recover() == 0, "it was settled twice"


def test_interrupted_jobs_wait_for_somebody_where_that_was_set(post: Post) -> None:
    job = post.submit()
    _, entry = post.fetch()
    post.set_state(job, State.RUNNING, attempt=1)
    post.lose(entry)
    post.manual.recover()
    assert post.job(job).state is State.INTERRUPTED
    assert post.entries() == []
    assert post.manual.recover() == 0
    post.service.resume(job.id, WHO, 0)
    assert len(post.entries()) == 1


def test_a_run_that_was_given_up_and_wakes_up_leaves_no_effect(post: Post) -> None:
    job = post.submit(count=3)
    key, entry = post.fetch()
    late = post.run_on_a_thread(key, entry, Signals())
    post.gated.gate.wait_reached(1)
    post.lose(entry)
    assert post.fleet.recover() == 1
    taken, again = post.fetch()
    assert (taken, again) == (key, post.job(job).queue_entry)
    other = post.run_on_a_thread(taken, again, Signals())
    post.gated.gate.wait_reached(2)
    # The late one comes first, with an item that the other one is at too.
    post.gated.gate.open()
    late.join(TIMEOUT)
    other.join(TIMEOUT)
    done = post.job(job)
    assert (done.state, done.attempt, done.done) == (State.SUCCEEDED, 2, 3)
    assert post.rows(job) == [1, 2, 3]


def test_a_run_that_was_given_up_and_ends_leaves_the_job_to_the_one_that_has_it(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, end = Event(), Event()
    run = Runner.run

    def frozen(runner: Runner, job: Job, signals: Signals) -> State | None:
        if job.attempt > 1:
            return run(runner, job, signals)
        begun.set()
        assert end.wait(TIMEOUT)
        return None

    monkeypatch.setattr(Runner, "run", frozen)
    job = post.submit(count=3)
    key, entry = post.fetch()
    late = post.run_on_a_thread(key, entry, Signals())
    assert begun.wait(TIMEOUT)
    post.lose(entry)
    assert post.fleet.recover() == 1
    other = post.run_on_a_thread(*post.fetch(), Signals())
    post.gated.gate.wait_reached(1)
    end.set()
    late.join(TIMEOUT)
    assert (post.job(job).state, post.job(job).attempt) == (State.RUNNING, 2)
    post.gated.gate.open()
    other.join(TIMEOUT)
    assert (post.job(job).state, post.job(job).attempt) == (State.SUCCEEDED, 2)
    assert post.rows(job) == [1, 2, 3]


def test_a_job_that_ends_its_workers_is_failed_and_one_beside_it_goes_on(post: Post) -> None:
    poison, other = post.submit(count=3), post.submit(count=3)
    for crash in (1, 2):
        for job in (poison, other):
            entry = post.job(job).queue_entry
            assert entry is not None
            assert post.runner.claim_entry(job.key, entry, never) is not None
            post.lose(entry)
        post.fleet.recover()
        assert [post.job(job).crashes for job in (poison, other)] == [crash, crash]
        waits = post.seconds_until_due()
        assert len(waits) == 2
        assert all(seconds is None if crash == 1 else 0 < seconds <= 1 for seconds in waits), waits
    for crash in (3, 4, 5):
        entry, put_off = post.job(poison).queue_entry, post.job(other).queue_entry
        assert entry is not None
        assert put_off is not None
        assert post.runner.claim_entry(poison.key, entry, never) is not None
        post.fleet.run(other.key, put_off, Signals())
        again = post.job(other)
        assert (again.state, again.attempt) == (State.QUEUED, 2), "it ran beside another suspect"
        assert again.queue_entry != put_off
        post.lose(put_off)
        post.lose(entry)
        post.fleet.recover()
        assert post.job(poison).crashes == crash
    failed = post.job(poison)
    assert failed.state is State.FAILED
    assert "5 times in a row" in str(failed.error)
    assert [entry.id for entry in post.entries()] == [post.job(other).queue_entry]
    post.gated.gate.open()
    last = post.job(other).queue_entry
    assert last is not None
    post.fleet.run(other.key, last, Signals())
    assert post.job(other).state is State.SUCCEEDED
    post.service.resume(poison.id, WHO, 0)
    assert post.seconds_until_due()[-1] is None


def test_a_run_that_ended_without_settling_its_job_is_no_crash_while_its_worker_lives(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = post.submit()
    monkeypatch.setattr(Runner, "run", lambda *_: None)
    post.fleet.run(*post.fetch(), Signals())
    assert (post.job(job).state, post.job(job).crashes) == (State.QUEUED, 0)


class Told(Gated):
    name = "gated"

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.called = Event()

    def on_pause(self, job: JobInfo) -> None:
        self._note("pause")

    def on_terminate(self, job: JobInfo) -> None:
        self._note("terminate")

    def _note(self, what: str) -> None:
        self.calls.append(what)
        self.called.set()


@pytest.fixture
def told(post: Post) -> Told:
    post.kinds["gated"] = told = Told()
    post.gated = told
    return told


@pytest.mark.parametrize(("ask", "after"), [("pause", State.PAUSED), ("terminate", State.TERMINATED)])
def test_a_run_that_obeys_somebody_elsewhere_tells_its_kind_and_nobody_else_does(
    post: Post, told: Told, ask: str, after: State
) -> None:
    job = post.submit(count=3)
    key, entry = post.fetch()
    thread = post.run_on_a_thread(key, entry, Signals())
    told.gate.wait_reached(1)
    getattr(post.service, ask)(job.id, WHO, 0)
    told.gate.open()
    thread.join(TIMEOUT)
    assert getattr(post.service, ask)(job.id, WHO, 0).state is after
    assert told.calls == [ask]


@pytest.mark.parametrize(("state", "call"), [(State.PAUSING, "pause"), (State.TERMINATING, "terminate")])
def test_whoever_settles_a_job_that_has_lost_its_worker_tells_its_kind(
    post: Post, told: Told, state: State, call: str
) -> None:
    job = post.submit()
    _, entry = post.fetch()
    post.set_state(job, state, attempt=1)
    post.lose(entry)
    assert [post.fleet.recover() for _ in range(2)] == [1, 0]
    assert told.called.wait(TIMEOUT)
    assert told.calls == [call]


def test_a_run_that_could_not_end_its_job_tells_what_follows_it(
    post: Post, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It is asked to end, and leaves without a word.
    monkeypatch.setattr(Runner, "run", lambda runner, job, signals: post.service.terminate(job.id, WHO, 0))
    job = post.submit()
    key, entry = post.fetch()
    post.fleet.run(key, entry, Signals())
    assert post.job(job).state is State.TERMINATED
    assert told.calls == ["terminate"]


def test_a_rollback_has_an_entry_of_its_own_and_gets_another_when_its_worker_is_given_up(post: Post) -> None:
    job = post.submit(count=3)
    post.gated.gate.open()
    key, entry = post.fetch()
    post.fleet.run(key, entry, Signals())
    post.lose(entry)
    post.service.terminate(job.id, WHO, 0, rollback=True)
    [first] = post.entries()
    assert (first.queue_name, first.priority) == (ROLLBACK_QUEUE, 0)
    assert post.fetch() == (key, first.id)
    post.set_state(job, State.TERMINATING, rollback=Rollback.RUNNING, attempt=2)
    post.lose(first.id)
    post.fleet.recover()
    [second] = post.entries()
    assert (second.queue_name, second.priority) == (ROLLBACK_QUEUE, AHEAD)
    post.fleet.roll_back(key, first.id, Signals())
    assert post.rows(job) == [1, 2, 3], "an entry that was taken away rolled back"
    post.fleet.roll_back(key, second.id, Signals())
    assert post.rows(job) == []
    assert (post.job(job).state, post.job(job).rolled_back) == (State.TERMINATED, True)


@pytest.mark.parametrize("asked", [None, "pause", "terminate"])
def test_a_rollback_is_queued_when_the_run_has_left(post: Post, asked: str | None) -> None:
    job = post.submit(count=3)
    key, entry = post.fetch()
    thread = post.run_on_a_thread(key, entry, Signals())
    post.gated.gate.wait_reached(1)
    if asked is not None:
        getattr(post.service, asked)(job.id, WHO, 0)
    assert post.service.terminate(job.id, WHO, 0, rollback=True).state is State.TERMINATING
    [doing] = post.entries()
    assert (doing.id, doing.abort_requested) == (entry, True)
    post.gated.gate.open()
    thread.join(TIMEOUT)
    [mine] = [e for e in post.entries() if e.queue_name == ROLLBACK_QUEUE]
    assert post.job(job).queue_entry == mine.id
    post.fleet.roll_back(key, mine.id, Signals())
    assert (post.job(job).state, post.job(job).rolled_back, post.rows(job)) == (State.TERMINATED, True, [])


def test_a_rollback_is_queued_when_the_worker_of_the_run_was_given_up(post: Post) -> None:
    job = post.submit(count=3)
    _, entry = post.fetch()
    post.set_state(job, State.RUNNING, attempt=1)
    post.service.terminate(job.id, WHO, 0, rollback=True)
    assert post.fleet.recover() == 0, "its worker is alive"
    post.lose(entry)
    assert post.fleet.recover() == 1
    assert [e.queue_name for e in post.entries()] == [ROLLBACK_QUEUE]


@pytest.mark.parametrize("count", [1, 3])
def test_a_rollback_that_is_asked_for_when_the_run_has_ended_its_job_is_queued_once(
    post: Post, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    run = Runner.run

    def asked_late(runner: Runner, job: Job, signals: Signals) -> State | None:
        state = run(runner, job, signals)
        post.service.terminate(job.id, WHO, 0, rollback=True)
        return state

    monkeypatch.setattr(Runner, "run", asked_late)
    job = post.submit(count=count)
    key, entry = post.fetch()
    thread = post.run_on_a_thread(key, entry, Signals())
    post.gated.gate.wait_reached(1)
    post.service.pause(job.id, WHO, 0)
    post.gated.gate.open()
    thread.join(TIMEOUT)
    [mine] = [e for e in post.entries() if e.queue_name == ROLLBACK_QUEUE]
    assert post.job(job).queue_entry == mine.id


def test_a_rollback_is_handed_on_when_its_worker_ends(post: Post) -> None:
    job = post.submit(count=3)
    post.gated.gate.open()
    key, entry = post.fetch()
    post.fleet.run(key, entry, Signals())
    post.lose(entry)
    post.service.terminate(job.id, WHO, 0, rollback=True)
    _, first = post.fetch()
    leaving = Signals()
    leaving.shut_down()
    post.fleet.roll_back(key, first, leaving)
    assert post.job(job).rollback == Rollback.WANTED
    again = post.job(job).queue_entry
    assert again != first
    assert again is not None
    post.fleet.roll_back(key, again, Signals())
    assert post.rows(job) == []
