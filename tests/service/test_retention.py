"""What is forgotten when, and what stays. The clock is the test's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Event

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Table, func, insert, select, update

from jobsvc.clock import now
from jobsvc.jobs.errors import NotAllowed, UnknownJob
from jobsvc.jobs.states import FINISHED, State
from jobsvc.runs.recovery import recover
from jobsvc.service import retention as retention_module
from jobsvc.service.pruner import Pruner
from jobsvc.service.retention import Retention, RetentionPolicy, Swept
from jobsvc.settings import Settings
from jobsvc.store import clock
from jobsvc.store.database import Database
from jobsvc.store.tables import (
    dry_run_teams,
    idempotency_keys,
    job_events,
    job_samples,
    jobs,
    records,
    refused_rows,
    throughput,
    webhooks,
)
from jobsvc.web.services import Services
from tests.support.audit_lines import lines_of
from tests.support.gated import Gated
from tests.support.requests import CSV, held, submit_gated, upload
from tests.support.stores import names
from tests.support.waiting import TIMEOUT, poll, wait_for

pytestmark = pytest.mark.both_databases

KEEP = RetentionPolicy(finished=None, files=None, keys=timedelta(hours=24))
DAY = timedelta(days=1)
REFUSING = b"date,n\n2026-01-01,1\nno date,2\nno date,3\n2026-01-04,4\n"


@dataclass
class Place:
    """The database and files of the application, and a clock that shows `later` than it is."""

    services: Services
    database: Database
    client: FlaskClient

    def retention(self, terms: RetentionPolicy, later: timedelta = timedelta()) -> Retention:
        moment = now() + later
        return Retention(self.database, self.services.files, terms, lambda _: moment)

    def finished(self, content: bytes = CSV, **fields: str) -> str:
        job_id = upload(self.client, content, **fields)
        wait_for(self.services, job_id, State.SUCCEEDED)
        return job_id

    def row(self, job_id: str) -> dict[str, object]:
        with self.database.read() as connection:
            return dict(connection.execute(select(jobs).where(jobs.c.id == job_id)).mappings().one())

    def count(self, table: Table, job_id: str) -> int:
        query = select(func.count()).where(table.c.job_key == self.row(job_id)["key"])
        with self.database.read() as connection:
            return connection.execute(query).scalar_one()

    def put(self, job_id: str, **values: object) -> None:
        with self.database.write() as connection:
            connection.execute(update(jobs).where(jobs.c.id == job_id).values(**values))

    def known(self) -> list[str]:
        return [job.id for job in self.services.jobs.page(limit=100).jobs]

    def names(self) -> set[str]:
        return set(names(self.services.files.directory))


@pytest.fixture
def place(services: Services, client: FlaskClient) -> Iterator[Place]:
    # The application's own first sweep would come in the middle of a slow test.
    services.pruner.shut_down(TIMEOUT)
    database = Database(services.settings.url)
    yield Place(services, database, client)
    database.close()


def test_a_job_is_forgotten_once_it_has_been_finished_for_longer_than_the_term(place: Place) -> None:
    job_id = place.finished()
    terms = replace(KEEP, finished=timedelta(days=30))
    assert place.retention(terms, 29 * DAY).sweep() == Swept()
    assert place.known() == [job_id]
    assert place.retention(terms, 31 * DAY).sweep().jobs == 1
    assert place.known() == []
    assert place.names() == set()
    assert place.retention(terms, 32 * DAY).sweep() == Swept(), "once is enough"


def test_the_throughput_is_kept_for_an_hour(place: Place) -> None:
    place.finished()

    def rows() -> int:
        with place.database.read() as connection:
            return connection.execute(select(func.count()).select_from(throughput)).scalar_one()

    before = rows()
    place.retention(KEEP, timedelta(minutes=59)).sweep()
    assert rows() == before > 0
    place.retention(KEEP, timedelta(minutes=61)).sweep()
    assert rows() == 0


@pytest.mark.postgresql_only
def test_on_postgresql_a_machine_whose_clock_is_ahead_forgets_nothing(place: Place) -> None:
    job_id = place.finished()
    fast = partial(clock.read, own=lambda: now() + 10_000 * DAY)
    terms = RetentionPolicy(finished=30 * DAY, files=7 * DAY, keys=DAY)
    assert Retention(place.database, place.services.files, terms, fast).sweep() == Swept()
    assert place.known() == [job_id]


def test_with_0_days_everything_is_kept_for_ever(place: Place) -> None:
    place.finished()
    assert (
        place.retention(RetentionPolicy.of(Settings(idempotency_hours=24, keep_audit_days=0)), 10_000 * DAY).sweep()
        == Swept()
    )


def test_only_id_columns_and_counters_are_left_of_a_forgotten_job_and_what_it_made(place: Place) -> None:
    job_id = place.finished(REFUSING, date_column="date")
    before = place.row(job_id)
    with place.database.write() as connection:
        key = before["key"]
        connection.execute(insert(dry_run_teams).values(job_key=key, name="red", row=1))
        connection.execute(
            insert(webhooks).values(message_id="m", job_key=key, url="u", body="b", created_at=now(), next_at=now())
        )
        used = {"user": "Ann", "key": "k", "fingerprint": "f", "job_key": key, "created_at": now()}
        connection.execute(insert(idempotency_keys).values(**used))
    assert place.count(job_samples, job_id) == 1
    retention = place.retention(replace(KEEP, finished=DAY), 2 * DAY)
    retention.sweep()
    after = place.row(job_id)
    assert after["deleted_at"] is not None
    assert after["files_removed_at"] is not None
    assert after["columns"] == ["date", "n"]
    assert (after["params"], after["filename"], after["cursor"], after["finished_at"]) == ({}, None, None, None)
    assert after["searched"] is None
    kept = ("key", "id", "kind", "user", "state", "created_at", "done", "failed")
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    for table in (refused_rows, job_samples, job_events, dry_run_teams, webhooks, idempotency_keys):
        assert place.count(table, job_id) == 0, table.name
    assert place.count(records, job_id) == 2


@pytest.mark.parametrize("state", State)
def test_jobs_are_forgotten_in_finished_states_only(place: Place, state: State) -> None:
    job_id = place.finished()
    # So that nothing runs the job again once it is queued.
    place.services.close()
    place.put(job_id, state=state)
    job = place.services.jobs.get(job_id)
    if state in FINISHED:
        place.retention(KEEP).forget(job, "Ann")
        assert place.known() == []
        with pytest.raises(UnknownJob):
            place.retention(KEEP).forget(job, "Ann")
    else:
        with pytest.raises(NotAllowed) as refused:
            place.retention(KEEP).forget(job, "Ann")
        assert refused.value.state is state
        # With a time of finish, as no such job has: the state alone has to keep it.
        assert place.retention(replace(KEEP, finished=DAY, files=DAY), 2 * DAY).sweep() == Swept()
        assert place.known() == [job_id]
        assert place.names() == {f"{job_id}.input"}


def test_a_failed_job_counts_from_when_it_failed(place: Place, gated: Gated) -> None:
    gated.gate.open()
    job_id = submit_gated(place.services, fail_at=3)
    wait_for(place.services, job_id, State.FAILED)
    place.retention(replace(KEEP, finished=DAY), 2 * DAY).sweep()
    with pytest.raises(UnknownJob):
        place.services.jobs.resume(job_id, "Ann", 0)


def test_more_jobs_than_go_into_one_batch_are_all_forgotten(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention_module, "JOBS_AT_A_TIME", 2)
    for _ in range(5):
        place.finished()
    retention = place.retention(replace(KEEP, finished=DAY), 2 * DAY)
    assert retention.preview().jobs == 5
    assert retention.sweep().jobs == 5
    assert (place.known(), place.names()) == ([], set())
    with place.database.read() as connection:
        assert connection.execute(select(func.count()).select_from(job_events)).scalar_one() == 0


def test_a_sweep_that_is_stopped_leaves_after_its_batch_and_the_next_one_does_the_rest(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention_module, "JOBS_AT_A_TIME", 2)
    for _ in range(5):
        place.finished()
    asked: list[int] = []

    def stopped() -> bool:
        asked.append(1)
        return len(asked) > 1

    terms = replace(KEEP, finished=DAY)
    assert place.retention(terms, 2 * DAY).sweep(stopped).jobs == 2
    assert len(place.known()) == 3
    assert place.retention(terms, 2 * DAY).sweep().jobs == 3


def test_rows_of_a_forgotten_job_go_in_bounded_batches_also_after_a_crash_in_between(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention_module, "ROWS_AT_A_TIME", 10)
    job_id, other = place.finished(REFUSING, date_column="date"), place.finished(REFUSING, date_column="date")
    with place.database.write() as connection:
        rows = [{"job_key": place.row(job_id)["key"], "item": item, "error": "no"} for item in range(100, 135)]
        connection.execute(insert(refused_rows), rows)
    lines = place.count(job_events, job_id)
    first = place.retention(KEEP)
    first.forget(place.services.jobs.get(job_id), "Ann")
    asked: list[int] = []

    def after_one_batch() -> bool:
        asked.append(1)
        return len(asked) > 2

    first.remove_rows(after_one_batch)
    assert place.count(refused_rows, job_id) == 37 - 10
    place.retention(KEEP).sweep()
    assert place.count(refused_rows, job_id) == place.count(job_events, job_id) == 0
    assert (place.count(refused_rows, other), place.count(job_events, other)) == (2, lines)


def test_files_go_before_the_job_does(place: Place) -> None:
    job_id = place.finished()
    terms = replace(KEEP, finished=30 * DAY, files=7 * DAY)
    assert place.retention(terms, 6 * DAY).sweep() == Swept()
    early = place.retention(terms, 8 * DAY)
    assert early.preview() == Swept(files=1)
    assert early.sweep() == Swept(files=1)
    assert early.sweep() == Swept()
    assert (place.known(), place.names()) == ([job_id], set())
    assert place.services.jobs.get(job_id).files_removed_at is not None
    late = place.retention(terms, 31 * DAY)
    assert late.preview() == late.sweep() == Swept(jobs=1)


def test_a_preview_counts_no_job_twice_and_changes_nothing(place: Place) -> None:
    job_id = place.finished()
    retention = place.retention(replace(KEEP, finished=DAY, files=DAY), 2 * DAY)
    assert retention.preview() == retention.preview() == Swept(jobs=1)
    assert (place.known(), place.names()) == ([job_id], {f"{job_id}.input"})


def test_the_files_of_many_jobs_go_and_jobs_without_files_are_passed_over(
    place: Place, gated: Gated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention_module, "JOBS_AT_A_TIME", 2)
    gated.gate.open()
    bare = [submit_gated(place.services) for _ in range(3)]
    for job_id in bare:
        wait_for(place.services, job_id, State.SUCCEEDED)
    for _ in range(3):
        place.finished()
    assert place.retention(replace(KEEP, files=DAY), 2 * DAY).sweep() == Swept(files=3)
    assert place.names() == set()
    assert all(place.services.jobs.get(job_id).files_removed_at is None for job_id in bare)


def test_a_failed_job_without_its_files_can_not_be_resumed(place: Place) -> None:
    job_id = upload(place.client, b"date,date\n1,2\n")
    wait_for(place.services, job_id, State.FAILED)
    place.retention(replace(KEEP, files=DAY), 2 * DAY).sweep()
    with pytest.raises(NotAllowed, match="failed: it can't be resumed, since its files were removed"):
        place.services.jobs.resume(job_id, "Ann", 0)
    assert place.services.jobs.get(job_id).state is State.FAILED


def test_a_failed_job_that_never_had_files_can_be_resumed_however_old_it_is(place: Place, gated: Gated) -> None:
    gated.gate.open()
    job_id = submit_gated(place.services, fail_at=3)
    wait_for(place.services, job_id, State.FAILED)
    place.retention(replace(KEEP, files=DAY), 2 * DAY).sweep()
    assert place.services.jobs.resume(job_id, "Ann", 0).state is State.QUEUED


def test_a_job_that_runs_keeps_its_file_and_everything_else(place: Place, gated: Gated) -> None:
    job_id = held(place.services, gated)
    place.services.files.input(job_id).touch()
    assert place.retention(replace(KEEP, finished=DAY, files=DAY), 2 * DAY).sweep() == Swept()
    gated.gate.open()
    wait_for(place.services, job_id, State.SUCCEEDED)
    assert place.names() == {f"{job_id}.input"}


@pytest.mark.parametrize("terms", [replace(KEEP, finished=DAY), replace(KEEP, files=DAY)])
def test_files_that_a_crash_kept_from_being_removed_are_removed_at_the_next_start(
    place: Place, monkeypatch: pytest.MonkeyPatch, terms: RetentionPolicy
) -> None:
    gone, stays = place.finished(), place.finished()
    place.put(stays, finished_at=now() + 5 * DAY)
    with monkeypatch.context() as patch:
        for name in ("remove_input", "remove_output"):
            patch.setattr(place.services.files, name, lambda job_id: None)
        place.retention(terms, 2 * DAY).sweep()
    assert place.names() == {f"{gone}.input", f"{stays}.input"}
    recover(place.database, place.services.files, now, resume=False)
    assert place.names() == {f"{stays}.input"}


def test_idempotency_keys_are_forgotten_after_their_hours(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention_module, "ROWS_AT_A_TIME", 2)
    job_id = place.finished()
    with place.database.write() as connection:
        used = {"user": "Ann", "fingerprint": "f", "job_key": place.row(job_id)["key"], "created_at": now()}
        connection.execute(insert(idempotency_keys), [{**used, "key": f"k{number}"} for number in range(5)])
    assert place.retention(KEEP, timedelta(hours=23)).sweep() == Swept()
    late = place.retention(KEEP, timedelta(hours=25))
    assert late.preview() == late.sweep() == Swept(keys=5)
    assert place.count(idempotency_keys, job_id) == 0


def test_terms_are_those_of_the_settings() -> None:
    settings = Settings(keep_finished_days=30, keep_files_days=0.5, idempotency_hours=1, keep_audit_days=7)
    assert RetentionPolicy.of(settings) == RetentionPolicy(30 * DAY, DAY / 2, DAY / 24, 7 * DAY)


class Watched(Retention):
    """Says when it is called, and sweeps until it is stopped."""

    def __init__(self) -> None:
        self.swept, self.cleared, self.hold = Event(), Event(), False

    def sweep(self, stopped: Callable[[], bool] = lambda: False) -> Swept:
        self.swept.set()
        poll(lambda: stopped() or not self.hold, TIMEOUT, "the end")
        return Swept()

    def remove_rows(self, stopped: Callable[[], bool] = lambda: False) -> None:
        self.cleared.set()

    def forget(self, job: object, who: str) -> None:
        pass


def test_the_thread_sweeps_soon_after_the_start_and_ends_at_once() -> None:
    watched = Watched()
    watched.hold = True
    pruner = Pruner(watched, first=0, every=1_000_000)
    pruner.start()
    assert watched.swept.wait(TIMEOUT)
    pruner.shut_down(TIMEOUT)
    assert not pruner.is_alive()


def test_the_thread_ends_at_once_while_it_waits() -> None:
    pruner = Pruner(Watched(), first=1_000_000)
    pruner.start()
    pruner.shut_down(TIMEOUT)
    assert not pruner.is_alive()


def test_a_deleted_job_is_cleared_up_behind_without_waiting_for_the_next_sweep(place: Place) -> None:
    watched = Watched()
    pruner = Pruner(watched, first=1_000_000)
    pruner.start()
    pruner.forget(place.services.jobs.get(place.finished()), "Ann")
    assert watched.cleared.wait(TIMEOUT)
    assert not watched.swept.is_set()
    pruner.shut_down(TIMEOUT)


def test_a_sweep_that_fails_does_not_end_the_thread(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Watched):
        def sweep(self, stopped: Callable[[], bool] = lambda: False) -> Swept:
            if not self.cleared.is_set():
                self.cleared.set()
                raise OSError("no more disk")
            return super().sweep()

    failing = Failing()
    pruner = Pruner(failing, first=0, every=0)
    pruner.start()
    assert failing.swept.wait(TIMEOUT)
    pruner.shut_down(TIMEOUT)
    assert "no more disk" in caplog.text


def test_the_service_sweeps_by_its_settings(
    make_app: Callable[..., Flask], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make_app()
    job_id = upload(first.test_client())
    wait_for(first.extensions["jobsvc"], job_id, State.SUCCEEDED)
    first.extensions["jobsvc"].close()
    database = Database(first.extensions["jobsvc"].settings.url)
    with database.write() as connection:
        connection.execute(update(jobs).values(finished_at=now() - 2 * DAY))
    database.close()
    monkeypatch.setattr(Pruner.__init__, "__kwdefaults__", {"first": 0.0, "every": 3600.0})
    again = make_app(keep_finished_days=1)
    poll(lambda: not names(tmp_path / "data" / "files"), TIMEOUT, "the sweep")
    with pytest.raises(UnknownJob):
        again.extensions["jobsvc"].jobs.get(job_id)


def test_lines_of_the_audit_are_kept_for_their_term_and_those_of_a_forgotten_job_are_kept(place: Place) -> None:
    job_id = place.finished()
    terms = replace(KEEP, finished=30 * DAY, audit=90 * DAY)
    assert place.retention(terms, 31 * DAY).sweep() == Swept(jobs=1)
    (line,) = lines_of(place.database, target=job_id)
    assert (line["action"], line["outcome"]) == ("job.create", "done")
    assert place.retention(terms, 89 * DAY).sweep() == Swept()
    assert place.retention(terms, 91 * DAY).preview() == Swept(lines=1)
    assert place.retention(terms, 91 * DAY).sweep() == Swept(lines=1)
    assert lines_of(place.database) == []
