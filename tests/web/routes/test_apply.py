"""`POST /jobs/<dry run>/apply`: the job that does what a dry run has checked, without a second upload."""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from jobsvc.clock import now
from jobsvc.files.local.files import LocalFiles
from jobsvc.jobs.states import State
from jobsvc.kinds import CsvParams, Item, Kind, RowKind
from jobsvc.service.checking import applying
from jobsvc.service.retention import Retention, RetentionPolicy
from jobsvc.store.database import Database
from jobsvc.store.tables import jobs
from jobsvc.web.services import Services
from tests.support.gated import gated_checkpoints
from tests.support.receiver import receiving
from tests.support.requests import assert_problem, upload
from tests.support.stores import ALL, BOTH
from tests.support.waiting import wait_for

pytestmark = pytest.mark.both_databases

FILE = b"day;n\n01/02/2026;1\n02/02/2026;2\nsoon;3\n"
OPTIONS = {"date_column": "day", "date_format": "%d/%m/%Y"}


@pytest.fixture
def database(services: Services) -> Iterator[Database]:
    database = Database(services.settings.url)
    yield database
    database.close()


def checked(client: FlaskClient, services: Services, content: bytes = FILE, **options: str) -> str:
    """A dry run that has gone well."""
    job_id = upload(client, content, dry_run="true", **(options or (OPTIONS if content == FILE else {})))
    wait_for(services, job_id, State.SUCCEEDED)
    return job_id


def apply(client: FlaskClient, job_id: str, **more: Any) -> dict[str, Any]:
    answer = client.post(f"/jobs/{job_id}/apply", **more)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json  # type: ignore[assignment]
    assert answer.headers["Location"] == f"/jobs/{made['id']}"
    return made


def refused(client: FlaskClient, job_id: str, kind: str = "cannot-apply") -> str:
    return str(assert_problem(client.post(f"/jobs/{job_id}/apply"), 409, kind)["detail"])


def job(client: FlaskClient, job_id: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/jobs/{job_id}").json  # type: ignore[assignment]
    return found


def records(client: FlaskClient, job_id: str) -> list[tuple[int, str, dict[str, str]]]:
    found = client.get(f"/records?job={job_id}").json["records"]  # type: ignore[index]
    return [(record["row"], record["date"], record["data"]) for record in found]


@pytest.mark.stores(*ALL)
def test_the_new_job_does_what_the_dry_run_has_checked_of_the_same_file(
    client: FlaskClient, services: Services
) -> None:
    dry_run = checked(client, services)
    assert records(client, dry_run) == []
    made = apply(client, dry_run)
    wait_for(services, made["id"], State.SUCCEEDED)
    before, after = job(client, dry_run), job(client, made["id"])
    assert before["params"] == {**after["params"], "dry_run": True}
    assert after["params"]["delimiter"] == ";"
    assert (before["file"], before["filename"], before["warnings"]) == (
        after["file"],
        after["filename"],
        after["warnings"],
    )
    assert after["file"] == {"name": "x.csv", "bytes": len(FILE), "sha256": hashlib.sha256(FILE).hexdigest()}
    assert (before["applied_from"], before["applied_as"]) == (None, [made["id"]])
    assert (after["applied_from"], after["applied_as"]) == (dry_run, [])
    assert records(client, made["id"]) == [
        (1, "2026-02-01", {"day": "01/02/2026", "n": "1"}),
        (2, "2026-02-02", {"day": "02/02/2026", "n": "2"}),
    ]
    reports = [client.get(f"/jobs/{job_id}/report").json for job_id in (dry_run, made["id"])]
    assert [{**report, "job": ""} for report in reports] == [{**reports[0], "job": ""}] * 2  # type: ignore[dict-item]
    assert client.get(f"/jobs/{made['id']}/failed").text.splitlines()[1].endswith(";soon;3")
    why = client.get(f"/jobs/{made['id']}/events").json["events"][0]["why"]  # type: ignore[index]
    assert why == f"the dry run {dry_run} was applied"
    assert services.files.job_ids() == {dry_run}


def test_the_version_of_the_dry_run_changes_as_it_is_applied(client: FlaskClient, services: Services) -> None:
    dry_run = checked(client, services)
    before = job(client, dry_run)["version"]
    apply(client, dry_run)
    assert job(client, dry_run)["version"] != before


def test_twice_applied_makes_two_jobs_and_the_dry_run_tells_of_both(client: FlaskClient, services: Services) -> None:
    dry_run = checked(client, services)
    made = [apply(client, dry_run)["id"] for _ in range(2)]
    assert len(set(made)) == 2
    assert job(client, dry_run)["applied_as"] == made


def test_so_many_that_came_at_once_are_all_told_of_up_to_twenty(client: FlaskClient, services: Services) -> None:
    dry_run = checked(client, services)
    with ThreadPoolExecutor(4) as pool:
        clients = [client.application.test_client() for _ in range(24)]
        made = list(pool.map(lambda each: each.post(f"/jobs/{dry_run}/apply").json["id"], clients))
    told = job(client, dry_run)["applied_as"]
    assert len(told) == applying.MOST_TOLD
    assert set(told) < set(made)


def test_an_idempotency_key_gets_the_same_job_also_once_the_file_is_gone(
    client: FlaskClient, services: Services
) -> None:
    dry_run = checked(client, services)
    key = {"Idempotency-Key": "once"}
    first = apply(client, dry_run, headers=key)
    wait_for(services, first["id"], State.SUCCEEDED)
    services.files.remove_input(dry_run)
    assert apply(client, dry_run, headers=key)["id"] == first["id"]
    assert job(client, dry_run)["applied_as"] == [first["id"]]
    other = client.post(f"/jobs/{dry_run}/apply", headers=key, json={"priority": "low"})
    assert_problem(other, 422, "idempotency-key-reused")


def test_it_takes_a_priority_and_a_callback_url(make_app: Callable[..., Flask]) -> None:
    client = (app := make_app(webhook_allow_private=True)).test_client()
    services: Services = app.extensions["jobsvc"]
    dry_run = checked(client, services)
    with receiving() as receiver:
        made = apply(client, dry_run, json={"priority": "low", "callback_url": receiver.url})
    assert (made["priority"], made["callback_url"]) == ("low", receiver.url)
    assert job(client, dry_run)["callback_url"] is None


@pytest.mark.parametrize(
    ("body", "parameter"),
    [({"priority": "soon"}, "priority"), ({"callback_url": 7}, "callback_url"), ({"dry_run": False}, "dry_run")],
)
def test_what_it_does_not_take_is_refused_by_name(
    client: FlaskClient, services: Services, body: dict[str, Any], parameter: str
) -> None:
    dry_run = checked(client, services)
    answer = client.post(f"/jobs/{dry_run}/apply", json=body)
    assert assert_problem(answer, 400, "invalid-parameter")["parameter"] == parameter
    assert job(client, dry_run)["applied_as"] == []


def test_a_job_that_is_no_dry_run_is_not_applied(client: FlaskClient, services: Services) -> None:
    job_id = upload(client, FILE, **OPTIONS)
    wait_for(services, job_id, State.SUCCEEDED)
    assert refused(client, job_id).endswith("it is no dry run")
    export = client.post("/exportData", json={"from": "2026-01-01", "to": "2026-01-02"}).json["Job ID"]  # type: ignore[index]
    assert refused(client, export).endswith("it is no dry run")


def test_a_dry_run_is_not_applied_before_it_has_finished_or_when_it_was_stopped(
    client: FlaskClient, services: Services
) -> None:
    with gated_checkpoints() as gate:
        dry_run = upload(client, FILE, dry_run="true", **OPTIONS)
        gate.wait_reached(1)
        answer = client.post(f"/jobs/{dry_run}/apply")
        assert assert_problem(answer, 409, "not-allowed-now")["state"] == "running"
        client.post(f"/jobs/{dry_run}/terminate?wait=0")
    wait_for(services, dry_run, State.TERMINATED)
    assert assert_problem(client.post(f"/jobs/{dry_run}/apply"), 409, "not-allowed-now")["state"] == "terminated"


def test_a_dry_run_that_was_rolled_back_is_not_applied(client: FlaskClient, services: Services) -> None:
    dry_run = checked(client, services)
    client.post(f"/jobs/{dry_run}/rollback")
    wait_for(services, dry_run, State.TERMINATED)
    refused(client, dry_run, "not-allowed-now")


def test_a_dry_run_that_failed_is_not_applied_and_the_answer_says_why(client: FlaskClient, services: Services) -> None:
    for content, options, why in [
        (b"date\nsoon\n", {}, "the only row was refused"),
        (b"date\nsoon\n2026-01-01\n", {"max_failed": "0"}, "1 rows were refused, more than max_failed=0"),
    ]:
        dry_run = upload(client, content, dry_run="true", **options)
        wait_for(services, dry_run, State.FAILED)
        assert f"the check has failed: {why}" in refused(client, dry_run)


@pytest.mark.stores(*BOTH)
def test_a_dry_run_whose_file_is_gone_is_not_applied(client: FlaskClient, services: Services) -> None:
    dry_run = checked(client, services)
    services.files.remove_input(dry_run)
    assert refused(client, dry_run).endswith("its file is gone; upload the file again")
    assert job(client, dry_run)["applied_as"] == []


def sweep(services: Services, database: Database, *, later: timedelta = timedelta(seconds=1)) -> None:
    """Remove the files of every job that has finished by then."""
    terms = RetentionPolicy(finished=None, files=timedelta(0), keys=timedelta(hours=1))
    Retention(database, services.files, terms, lambda _: now() + later).sweep()


def test_a_dry_run_whose_file_was_removed_in_time_is_not_applied(
    client: FlaskClient, services: Services, database: Database
) -> None:
    dry_run = checked(client, services)
    sweep(services, database)
    assert "its file was removed at " in refused(client, dry_run)


@pytest.mark.stores(*ALL)
def test_a_file_that_somebody_has_changed_is_not_applied(client: FlaskClient, services: Services) -> None:
    dry_run = checked(client, services)
    services.files.remove_input(dry_run)
    with_other = services.files.create_input(dry_run)
    with_other.write(FILE.replace(b"1", b"7"))
    with_other.commit()
    assert refused(client, dry_run).endswith("its file is no longer the one that was checked; upload the file again")


@pytest.mark.stores(*ALL)
def test_a_file_that_was_restored_as_it_was_is_applied(client: FlaskClient, services: Services) -> None:
    dry_run = checked(client, services)
    services.files.remove_input(dry_run)
    again = services.files.create_input(dry_run)
    again.write(FILE)
    again.commit()
    if isinstance(services.files, LocalFiles):
        os.utime(services.files.input(dry_run), (0, 0))
    made = apply(client, dry_run)
    wait_for(services, made["id"], State.SUCCEEDED)
    assert len(records(client, made["id"])) == 2


def test_a_file_that_was_touched_and_takes_long_to_read_is_not_applied(
    client: FlaskClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    dry_run = checked(client, services)
    assert isinstance(services.files, LocalFiles)
    os.utime(services.files.input(dry_run), (0, 0))
    monkeypatch.setattr(applying, "SECONDS", -1.0)
    assert "too large to be read in a moment" in refused(client, dry_run)


def test_a_file_of_before_hashes_is_not_applied(client: FlaskClient, services: Services, database: Database) -> None:
    dry_run = checked(client, services)
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE jobs SET file = NULL")
    assert "before the service remembered" in refused(client, dry_run)
    assert job(client, dry_run)["file"] is None


def test_a_job_that_is_not_there_is_not_applied(client: FlaskClient, services: Services) -> None:
    assert_problem(client.post("/jobs/never/apply"), 404, "unknown-job")
    dry_run = checked(client, services)
    client.delete(f"/jobs/{dry_run}")
    assert_problem(client.post(f"/jobs/{dry_run}/apply"), 404, "unknown-job")


def test_gzip_is_told_of_as_it_is_stored(client: FlaskClient, services: Services) -> None:
    dry_run = checked(client, services, gzip.compress(FILE), **OPTIONS)
    assert job(client, dry_run)["file"]["sha256"] == hashlib.sha256(FILE).hexdigest()
    made = apply(client, dry_run)
    wait_for(services, made["id"], State.SUCCEEDED)
    assert len(records(client, made["id"])) == 2


def test_records_without_a_date_of_their_own_get_the_day_of_the_upload(
    client: FlaskClient, services: Services, database: Database
) -> None:
    dry_run = checked(client, services, b"n\n1\n")
    with database.write() as connection:
        connection.execute(update(jobs).values(created_at=datetime(2026, 1, 31, 23, tzinfo=UTC)))
    made = apply(client, dry_run)
    wait_for(services, made["id"], State.SUCCEEDED)
    assert records(client, made["id"]) == [(1, "2026-01-31", {"n": "1"})]


def test_a_name_that_was_taken_meanwhile_is_refused_all_the_same(client: FlaskClient, services: Services) -> None:
    content = b"team,m\nred,Ann\nblue,Bob\n"
    dry_run = upload(client, content, "/createBulkTeam", dry_run="true")
    wait_for(services, dry_run, State.SUCCEEDED)
    assert client.get(f"/jobs/{dry_run}/report").json["done"] == 2  # type: ignore[index]
    other = upload(client, b"team,m\nred,Cid\n", "/createBulkTeam")
    wait_for(services, other, State.SUCCEEDED)
    made = apply(client, dry_run)
    wait_for(services, made["id"], State.SUCCEEDED)
    report: Any = client.get(f"/jobs/{made['id']}/report").json
    assert (report["done"], report["failed"]) == (1, 1)


class Counts(RowKind):
    """Remembers of which rows it was told, and whether they were to have an effect."""

    name = "counts"

    class Params(CsvParams):
        step: int = 1

    def __init__(self) -> None:
        self.seen: list[tuple[str, bool, int]] = []

    def process(self, row: dict[str, str], item: Item) -> None:
        self.seen.append((row["n"], item.dry_run, item.params.step))


def start(app: Flask, **options: str) -> str:
    answer = app.test_client().post("/kinds/counts/jobs", data=b"n\n1\n", query_string=options)
    assert answer.status_code == 201, answer.text
    return str(answer.json["id"])  # type: ignore[index]


def test_kinds_of_others_are_applied_as_ours_are(make_app: Callable[..., Flask]) -> None:
    kind = Counts()
    app = make_app([kind])
    dry_run = start(app, dry_run="true", step="5")
    wait_for(app.extensions["jobsvc"], dry_run, State.SUCCEEDED)
    made = apply(app.test_client(), dry_run)
    wait_for(app.extensions["jobsvc"], made["id"], State.SUCCEEDED)
    assert kind.seen == [("1", True, 5), ("1", False, 5)]


class Stricter(RowKind):
    name = "counts"

    class Params(CsvParams):
        step: str = "one"

    def process(self, row: dict[str, str], item: Item) -> None:
        pass


@pytest.mark.parametrize(
    ("kinds", "why"),
    [([], "there is no kind 'counts' any more"), ([Stricter()], "counts no longer takes the parameters")],
)
def test_a_kind_that_is_gone_or_another_one_is_not_applied(
    make_app: Callable[..., Flask], kinds: list[Kind], why: str
) -> None:
    first = make_app([Counts()])
    dry_run = start(first, dry_run="true", step="5")
    wait_for(first.extensions["jobsvc"], dry_run, State.SUCCEEDED)
    first.extensions["jobsvc"].close()
    assert why in refused(make_app(kinds).test_client(), dry_run)
