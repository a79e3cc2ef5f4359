"""The file of a dry run stays as long as a job needs it that was made of it, and no longer."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from flask.testing import FlaskClient

from jobsvc.clock import now
from jobsvc.files.tidying import tidy_strays
from jobsvc.jobs.states import State
from jobsvc.service.retention import Retention, RetentionPolicy
from jobsvc.store.database import Database
from jobsvc.store.queries.sharing import user_rows
from jobsvc.web.services import Services
from tests.support.gated import gated_checkpoints
from tests.support.requests import assert_problem, upload
from tests.support.stores import BOTH
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.both_databases, pytest.mark.stores(*BOTH)]

FILE = b"date,n\n2026-01-01,1\nsoon,2\n"
USER = "Jon-Doe"


@pytest.fixture
def database(services: Services) -> Iterator[Database]:
    database = Database(services.settings.url)
    yield database
    database.close()


def checked(client: FlaskClient, services: Services) -> str:
    dry_run = upload(client, FILE, dry_run="true")
    wait_for(services, dry_run, State.SUCCEEDED)
    return dry_run


def applied(client: FlaskClient, services: Services, dry_run: str) -> str:
    made: str = client.post(f"/jobs/{dry_run}/apply").json["id"]  # type: ignore[index]
    wait_for(services, made, State.SUCCEEDED)
    return made


def delete(client: FlaskClient, job_id: str) -> None:
    assert client.delete(f"/jobs/{job_id}").status_code == 204


def can_be_read(client: FlaskClient, job_id: str) -> bool:
    return client.get(f"/jobs/{job_id}/failed").text.endswith("soon,2\n")


def stored(database: Database) -> int:
    with database.read() as connection:
        return user_rows.stored_bytes(connection, USER)


def retention(services: Services, database: Database, *, files: bool, later: float = 1.0) -> Retention:
    """Whatever has finished by in so many seconds is past its time: its files, or itself."""
    none, all_of_it = None, timedelta(0)
    terms = RetentionPolicy(
        finished=none if files else all_of_it, files=all_of_it if files else none, keys=timedelta(hours=1)
    )
    return Retention(database, services.files, terms, lambda _: now() + timedelta(seconds=later))


def test_the_dry_run_can_be_deleted_and_its_jobs_have_the_file_until_the_last(
    client: FlaskClient, services: Services, database: Database
) -> None:
    dry_run = checked(client, services)
    first, second = applied(client, services, dry_run), applied(client, services, dry_run)
    assert stored(database) == len(FILE)
    for gone, left in ((dry_run, [first, second]), (first, [second])):
        delete(client, gone)
        assert all(can_be_read(client, job_id) for job_id in left)
        assert services.files.job_ids() == {dry_run}
        assert stored(database) == len(FILE)
    delete(client, second)
    assert services.files.job_ids() == set()
    assert stored(database) == 0


def test_what_was_made_of_it_can_be_deleted_first(client: FlaskClient, services: Services, database: Database) -> None:
    dry_run = checked(client, services)
    made = applied(client, services, dry_run)
    delete(client, made)
    assert can_be_read(client, dry_run)
    assert applied(client, services, dry_run) != made
    assert stored(database) == len(FILE)


def test_a_dry_run_is_deleted_while_its_job_reads_the_file(client: FlaskClient, services: Services) -> None:
    dry_run = checked(client, services)
    with gated_checkpoints() as gate:
        made: str = client.post(f"/jobs/{dry_run}/apply").json["id"]  # type: ignore[index]
        gate.wait_reached(1)
        client.post(f"/jobs/{made}/pause?wait=0")
        delete(client, dry_run)
    wait_for(services, made, State.PAUSED, State.SUCCEEDED)
    client.post(f"/jobs/{made}/resume")
    wait_for(services, made, State.SUCCEEDED)
    assert can_be_read(client, made)


@pytest.mark.parametrize("files", [True, False], ids=["files", "jobs"])
def test_retention_leaves_the_file_to_the_job_that_finished_later(
    client: FlaskClient, services: Services, database: Database, files: bool
) -> None:
    dry_run = checked(client, services)
    before = now()
    with gated_checkpoints() as gate:
        made: str = client.post(f"/jobs/{dry_run}/apply").json["id"]  # type: ignore[index]
        gate.wait_reached(1)
        retention(services, database, files=files, later=max(1.0, (now() - before).total_seconds())).sweep()
        assert services.files.job_ids() == {dry_run}
        assert stored(database) == len(FILE)
        assert_problem(
            client.post(f"/jobs/{dry_run}/apply"), *((409, "cannot-apply") if files else (404, "unknown-job"))
        )
    wait_for(services, made, State.SUCCEEDED)
    assert can_be_read(client, made)
    swept = retention(services, database, files=files, later=2.0).sweep()
    assert (swept.files, swept.jobs) == ((1, 0) if files else (0, 1))
    assert services.files.job_ids() == set()
    assert stored(database) == 0


def test_a_look_for_strays_leaves_a_file_that_is_needed_and_removes_it_when_it_is_not(
    client: FlaskClient, services: Services, database: Database
) -> None:
    dry_run = checked(client, services)
    made = applied(client, services, dry_run)
    delete(client, dry_run)
    tidied = tidy_strays(database, services.files, now())
    assert (tidied.aside, tidied.removed) == ([], [])
    assert can_be_read(client, made)
    with database.write() as connection:
        # As if the process had died before it removed the file.
        connection.exec_driver_sql("UPDATE jobs SET files_removed_at = deleted_at WHERE deleted_at IS NULL")
        connection.exec_driver_sql("UPDATE jobs SET files_removed_at = created_at")
    assert len(tidy_strays(database, services.files, now()).removed) == 1
    assert services.files.job_ids() == set()


def test_applied_or_deleted_at_the_same_time_no_job_is_without_its_file(
    client: FlaskClient, services: Services
) -> None:
    for _ in range(10):
        dry_run = checked(client, services)
        together = Barrier(3)

        def ask(which: int, dry_run: str = dry_run, together: Barrier = together) -> str | None:
            other = client.application.test_client()
            together.wait(30)
            if which == 0:
                assert other.delete(f"/jobs/{dry_run}").status_code == 204
                return None
            answer = other.post(f"/jobs/{dry_run}/apply")
            assert answer.status_code in (201, 404), answer.text
            return str(answer.json["id"]) if answer.status_code == 201 else None  # type: ignore[index]

        with ThreadPoolExecutor(3) as pool:
            made = [job_id for job_id in pool.map(ask, range(3)) if job_id is not None]
        for job_id in made:
            assert wait_for(services, job_id, State.SUCCEEDED, State.FAILED).done == 1
        for job_id in made:
            assert can_be_read(client, job_id)
            delete(client, job_id)
        assert services.files.job_ids() == set()
