"""In a fleet: a job whose user has enough running has no entry in the queue, until one of the user's has left."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import insert, select, text, update

from jobsvc.clock import now
from jobsvc.files.local.files import LocalFiles
from jobsvc.identifiers import Priority, Purpose
from jobsvc.jobs.job import Job
from jobsvc.jobs.states import State
from jobsvc.process.fleet_engines import FleetQueues
from jobsvc.runs.fleet_runs import FleetRuns
from jobsvc.runs.signals import Signals
from jobsvc.service.core import Core
from jobsvc.service.jobs import JobService
from jobsvc.service.new_job import NewJob
from jobsvc.settings import Settings
from jobsvc.store.database import Database
from jobsvc.store.queries.sharing import user_rows
from jobsvc.store.tables import jobs, workers
from tests.runs.test_fleet_runs import Entry, Post
from tests.support.databases import fresh
from tests.support.gated import Gated
from tests.support.waiting import TIMEOUT

HIGH, NORMAL = Priority.HIGH, Priority.NORMAL


@dataclass
class Place:
    """A web process and a worker in one, that do nothing by themselves; with a limit, if any, for each user."""

    post: Post
    core: Core

    @property
    def service(self) -> JobService:
        return self.post.service

    @property
    def fleet(self) -> FleetRuns:
        return self.post.fleet

    @property
    def database(self) -> Database:
        return self.core.database

    def submit(self, user: str = "ann", priority: Priority = NORMAL, kind: str = "gated") -> Job:
        new_id = self.service.new_id(user, kind)
        return self.service.submit(NewJob(new_id, kind, user, {"count": 1}, priority=priority))

    def entries(self) -> list[Entry]:
        return [entry for entry in self.post.entries() if entry.status == "todo"]

    def queued(self) -> list[int | None]:
        """The entries that are jobs' own, of those that nobody has taken."""
        return [entry.id for entry in self.entries()]

    def held(self) -> list[str]:
        with self.database.read() as connection:
            return list(connection.execute(select(jobs.c.id).where(jobs.c.held).order_by(jobs.c.key)).scalars())

    def begin(self) -> tuple[Thread, int]:
        """Have a thread run the next entry to its first item; returns it, and its job's key."""
        key, entry = self.post.fetch()
        before = self.post.gated.gate.reached
        thread = self.post.run_on_a_thread(key, entry, Signals())
        self.post.gated.gate.wait_reached(before + 1)
        return thread, key

    def take_in_vain(self) -> None:
        """Take the next entry, whose job may not begin."""
        key, entry = self.post.fetch()
        self.fleet.run(key, entry, Signals())
        self.post.lose(entry)

    def end(self, thread: Thread) -> None:
        self.post.gated.gate.open(1)
        thread.join(TIMEOUT)
        assert not thread.is_alive()


def made(tmp_path: Path, url: str, most: int) -> Place:
    gated = Gated()
    kinds = {"gated": gated, "other": Gated()}
    database = Database(Settings(database_url=url).url)
    files = LocalFiles(tmp_path / "files")
    core = Core.on(database, files, kinds, now, Settings(user_max_running=most))
    queues = FleetQueues.make(core.runner.users)
    fleet, manual = (core.fleet_runs(queues.runs, queues.rollbacks, resume=resume) for resume in (True, False))
    service = core.service(queues.runs, queues.rollbacks)
    return Place(Post(database, files, service, fleet, manual, core.runner, gated, kinds), core)


@pytest.fixture
def url() -> Iterator[str]:
    with fresh("postgresql") as found:
        yield found


@pytest.fixture
def place(tmp_path: Path, url: str) -> Iterator[Place]:
    found = made(tmp_path, url, 1)
    yield found
    found.post.gated.gate.open()
    found.database.close()


def test_an_entry_that_is_taken_in_vain_is_not_put_back_and_its_job_begins_when_the_first_has_ended(
    place: Place,
) -> None:
    first, second, third = (place.submit() for _ in range(3))
    assert len(place.queued()) == 3
    thread, key = place.begin()
    assert key == first.key
    place.take_in_vain()
    place.take_in_vain()
    assert (place.queued(), place.held()) == ([], [second.id, third.id])
    assert place.post.job(second).state is State.QUEUED
    place.end(thread)
    assert place.held() == [third.id]
    assert place.queued() == [place.post.job(second).queue_entry]
    thread, key = place.begin()
    assert key == second.key
    place.end(thread)
    assert place.queued() == [place.post.job(third).queue_entry]


def test_what_is_queued_while_the_user_has_enough_gets_no_entry_and_others_do(place: Place) -> None:
    place.submit()
    thread, _ = place.begin()
    mine, bobs = place.submit(), place.submit("bob")
    assert place.held() == [mine.id]
    assert place.queued() == [place.post.job(bobs).queue_entry]
    place.end(thread)
    assert len(place.queued()) == 2


def test_of_those_that_are_held_the_first_by_priority_and_turn_goes_on(place: Place) -> None:
    place.submit()
    thread, _ = place.begin()
    normal, high = place.submit(), place.submit(priority=HIGH)
    place.end(thread)
    assert place.held() == [normal.id]
    assert place.queued() == [place.post.job(high).queue_entry]


def test_a_paused_job_makes_room_and_goes_behind_those_that_are_held_when_it_is_resumed(place: Place) -> None:
    first = place.submit()
    thread, _ = place.begin()
    second = place.submit()
    place.service.pause(first.id, "ann", 0)
    place.end(thread)
    assert place.queued() == [place.post.job(second).queue_entry]
    again, key = place.begin()
    assert key == second.key
    place.service.resume(first.id, "ann", 0)
    assert place.held() == [first.id]
    place.end(again)
    assert place.held() == []


@pytest.mark.parametrize("ask", ["pause", "terminate"])
def test_a_held_job_can_be_paused_and_terminated(place: Place, ask: str) -> None:
    place.submit()
    thread, _ = place.begin()
    held = place.submit()
    getattr(place.service, ask)(held.id, "ann", 5)
    assert place.held() == []
    place.end(thread)
    assert place.queued() == []


def test_a_job_that_gives_way_and_is_not_the_first_of_its_user_has_the_first_go_on(place: Place) -> None:
    first = place.submit()
    thread, _ = place.begin()
    high = place.submit(priority=HIGH)
    assert place.held() == [high.id]
    with place.database.write() as connection:
        connection.execute(update(jobs).where(jobs.c.key == first.key).values(gives_way=True))
    place.end(thread)
    assert place.held() == [first.id]
    assert place.queued() == [place.post.job(high).queue_entry]


def test_entries_that_are_taken_at_once_begin_no_more_than_the_limit(tmp_path: Path, url: str) -> None:
    place = made(tmp_path, url, 2)
    for _ in range(10):
        place.submit()
    taken = [place.post.fetch() for _ in range(10)]
    with ThreadPoolExecutor(10) as pool:
        claims = [
            pool.submit(place.core.runner.claim_entry, key, entry, lambda _connection, _job: None)
            for key, entry in taken
        ]
        begun = [claim.result() for claim in claims]
    assert sum(job is not None for job in begun) == 2
    with place.database.read() as connection:
        assert user_rows.running(connection) == {"ann": 2}
    assert len(place.held()) == 8
    place.database.close()


def test_the_sweep_leaves_held_jobs_alone_and_fills_the_place_of_a_worker_that_has_died(place: Place) -> None:
    first = place.submit()
    key, entry = place.post.fetch()
    place.core.runner.claim_entry(key, entry, lambda _connection, _job: None)
    second, third = place.submit(), place.submit()
    place.fleet.recover()
    assert place.held() == [second.id, third.id]
    # Its run has ended, and its worker with it before it could have another go on.
    place.post.set_state(first, State.SUCCEEDED, finished_at=now())
    place.post.lose(entry)
    place.fleet.recover()
    assert place.held() == [third.id]
    assert place.queued() == [place.post.job(second).queue_entry]
    place.fleet.recover()
    assert place.held() == [third.id]


def test_without_the_limit_the_sweep_has_all_go_on(place: Place, tmp_path: Path, url: str) -> None:
    place.submit()
    thread, _ = place.begin()
    for _ in range(250):
        place.submit()
    assert len(place.held()) == 250
    after = made(tmp_path, url, 0)
    after.fleet.recover()
    assert (after.held(), len(after.queued())) == ([], 250)
    after.database.close()
    place.end(thread)


def test_what_no_worker_takes_does_not_keep_the_others_of_its_user(place: Place) -> None:
    described = {"name": "w", "host": "h", "pid": 1, "concurrency": 2, "session": "s", "started_at": now()}
    with place.database.write() as connection:
        connection.execute(insert(workers).values(id=1, purpose=Purpose.RUNS, queues=["gated"], **described))
    place.submit()
    thread, _ = place.begin()
    other, mine = place.submit(kind="other"), place.submit()
    place.end(thread)
    assert place.held() == [other.id]
    with place.database.write() as connection:
        # As if nobody had had it go on: an entry of the other kind fills no place.
        connection.execute(text("UPDATE jobs SET held = NOT held WHERE id = ANY(:ids)"), {"ids": [other.id, mine.id]})
    place.fleet.recover()
    assert place.held() == []


def test_a_suspect_that_waits_does_not_keep_the_others_of_its_user(place: Place) -> None:
    suspect = place.submit()
    key, entry = place.post.fetch()
    place.core.runner.claim_entry(key, entry, lambda _connection, _job: None)
    other = place.submit()
    # It has crashed three times by now: its worker dies again, and it has to wait before it begins once more.
    place.post.set_state(suspect, State.RUNNING, crashes=3)
    place.post.lose(entry)
    place.fleet.recover()
    assert place.post.job(suspect).state is State.QUEUED
    assert place.held() == []
    assert place.post.job(other).queue_entry in place.queued()
    place.fleet.recover()
    assert len(place.queued()) == 2
