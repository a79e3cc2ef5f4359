"""What somebody else has written into the database is shown as what it is, and keeps nobody from the rest."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from jobsvc.jobs.states import State
from jobsvc.store.database import Database
from jobsvc.web.services import Services
from tests.support.requests import upload
from tests.support.waiting import wait_for

GOOD = b"date,a,b\n2026-01-01,1,2\n2026-01-01,3,4\n2026-01-02,5,6\n"


@pytest.fixture
def database(services: Services) -> Iterator[Database]:
    database = Database(services.settings.url)
    yield database
    database.close()


@pytest.fixture
def job_id(client: FlaskClient, services: Services) -> str:
    job_id = upload(client, GOOD)
    wait_for(services, job_id, State.SUCCEEDED)
    return job_id


def change(database: Database, statement: str, **values: Any) -> None:
    with database.write() as connection:
        assert connection.execute(text(statement), values).rowcount > 0


def found(client: FlaskClient, path: str) -> Any:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.get_json()


def export(client: FlaskClient, services: Services, **more: str) -> list[list[str]]:
    answer = client.post("/exportData", json={"from": "2026-01-01", "to": "2026-01-03", **more})
    assert answer.status_code == 200
    job = wait_for(services, answer.get_json()["Job ID"], State.SUCCEEDED, State.FAILED)
    assert job.error is None
    return list(csv.reader(io.StringIO(client.get(f"/jobs/{job.id}/result").text)))[1:]


LONE_SURROGATE = r'["\ud800","1","2"]'


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ('["2026-01-01","a\\"', "its data is not valid JSON"),
        ("", "its data is not valid JSON"),
        (LONE_SURROGATE, "its data is not valid JSON"),
        ("[" * 100_000, "its data is not valid JSON"),
        (b'["\xff","1","2"]', "its data is not valid JSON"),
        (7, "its data is no list of fields"),
    ],
    ids=["cut off", "empty", "no text", "nested", "no UTF-8", "a number"],
)
def test_a_record_of_invalid_json_is_one_odd_record(
    client: FlaskClient, services: Services, database: Database, job_id: str, data: Any, error: str
) -> None:
    change(database, "UPDATE records SET data = :data WHERE row = 2", data=data)
    assert_odd(client, services, job_id, error, data)


@pytest.mark.both_databases
@pytest.mark.parametrize(
    ("data", "error"),
    [
        ('["1", "2"]', "2 fields where its job has 3 columns"),
        ("[]", "0 fields where its job has 3 columns"),
        ('{"a": 1}', "its data is no list of fields"),
        ("null", "its data is no list of fields"),
    ],
)
def test_a_record_of_another_shape_is_one_odd_record(
    client: FlaskClient, services: Services, database: Database, job_id: str, data: str, error: str
) -> None:
    with database.write() as connection:
        as_it_is = ":data" if connection.dialect.name == "sqlite" else "CAST(:data AS jsonb)"
    change(database, f"UPDATE records SET data = {as_it_is} WHERE row = 2", data=data)
    assert_odd(client, services, job_id, error, data)


def assert_odd(client: FlaskClient, services: Services, job_id: str, error: str, data: Any) -> None:
    page = found(client, f"/records?job={job_id}")
    shown = data.decode(errors="replace") if isinstance(data, bytes) else str(data)
    assert [record["row"] for record in page["records"]] == [1, 2, 3]
    assert page["records"][0]["data"] == {"date": "2026-01-01", "a": "1", "b": "2"}
    assert page["records"][1] == {
        "job_id": job_id,
        "row": 2,
        "date": "2026-01-01",
        "data": None,
        "error": error,
        "raw": shown,
    }
    assert export(client, services) == [
        [job_id, "1", "2026-01-01", "2026-01-01", "1", "2"],
        [job_id, "2", "2026-01-01", f"{error}: {shown}", "", ""],
        [job_id, "3", "2026-01-02", "2026-01-02", "5", "6"],
    ]


@pytest.mark.both_databases
@pytest.mark.parametrize("columns", ['["a", "a", "b"]', "7", '["a", 1, "b"]', "{}"])
def test_a_job_whose_columns_are_none_has_odd_records_and_others_have_theirs(
    client: FlaskClient, services: Services, database: Database, job_id: str, columns: str
) -> None:
    other = upload(client, GOOD)
    wait_for(services, other, State.SUCCEEDED)
    with database.write() as connection:
        as_it_is = ":columns" if connection.dialect.name == "sqlite" else "CAST(:columns AS jsonb)"
    change(database, f"UPDATE jobs SET columns = {as_it_is} WHERE id = :id", columns=columns, id=job_id)
    records = found(client, "/records")["records"]
    assert [record["job_id"] for record in records] == [job_id] * 3 + [other] * 3
    assert {record.get("error") for record in records[:3]} == {"the columns of its job can't be read"}
    assert records[0]["raw"].replace(" ", "") == '["2026-01-01","1","2"]'
    assert records[3]["data"] == {"date": "2026-01-01", "a": "1", "b": "2"}
    assert [row[0] for row in export(client, services)] == [job_id, job_id, other, other, job_id, other]
    assert [row[0] for row in export(client, services, job=other)] == [other] * 3
    assert client.get(f"/jobs/{job_id}/failed").status_code == 200


def test_what_is_no_date_is_in_no_export_and_keeps_none_from_others(
    client: FlaskClient, services: Services, database: Database, job_id: str
) -> None:
    for odd in ("zzz", "2026-01-01 or so", "", 7, b"\xff\xff"):
        change(database, "UPDATE records SET date = :date WHERE row = 2", date=odd)
        assert [row[1] for row in export(client, services)] == ["1", "3"]
        assert len(found(client, "/records")["records"]) == 3
    change(database, "UPDATE records SET date = CAST(:date AS TEXT) WHERE row = 2", date=b"2026-01-01\xff")
    assert [row[1] for row in export(client, services)] == ["1", "3"]
    assert found(client, "/records")["records"][1]["date"] == "2026-01-01�"


def test_records_without_their_job_are_shown(
    client: FlaskClient, services: Services, database: Database, job_id: str
) -> None:
    change(database, "UPDATE records SET job_key = 1000000 WHERE row = 3")
    records = found(client, "/records")["records"]
    assert [(record["job_id"], record.get("error")) for record in records] == [
        (job_id, None),
        (job_id, None),
        (None, "its job is not there"),
    ]


ODD_VALUES: tuple[tuple[str, Any], ...] = (
    *(("params", value) for value in ("{", "7", b"\xff", "[" * 100_000, "")),
    *(("cursor", value) for value in ("{", "7", "[]")),
    *(("columns", value) for value in ("{", "7")),
    *((name, value) for name in ("created_at", "queued_at", "started_at", "finished_at") for value in ("x", 7)),
    ("not_before", "x"),
    ("state", "nonsense"),
    ("error", b"\xff"),
    ("filename", b"\xff"),
)


def test_a_job_that_cannot_be_read_is_shown_and_so_are_the_others(
    client: FlaskClient, services: Services, database: Database, job_id: str
) -> None:
    other = upload(client, GOOD)
    wait_for(services, other, State.SUCCEEDED)
    for column, value in ODD_VALUES:
        with database.read() as connection:
            before = connection.execute(text(f'SELECT "{column}" FROM jobs WHERE id = :id'), {"id": job_id}).scalar()
        cast = "CAST(:value AS TEXT)" if isinstance(value, bytes) else ":value"
        change(database, f'UPDATE jobs SET "{column}" = {cast} WHERE id = :id', value=value, id=job_id)
        listed = found(client, "/jobs")["jobs"]
        assert [job["id"] for job in listed] == [other, job_id]
        assert found(client, f"/jobs/{job_id}") == listed[1]
        if column in ("params", "created_at", "queued_at", "state"):
            assert listed[1]["error"] == f"{column} in the database can't be read"
        for path in ("events", "webhooks", "failed", "unprocessed"):
            assert client.get(f"/jobs/{job_id}/{path}").status_code in (200, 409), (column, path)
        assert [len(found(client, f"/records?job={one}")["records"]) for one in (job_id, other)] == [3, 3]
        change(database, f'UPDATE jobs SET "{column}" = :value WHERE id = :id', value=before, id=job_id)


@pytest.mark.parametrize("column", ["params", "cursor"])
def test_a_job_that_cannot_be_read_fails_when_it_runs_and_others_go_on(
    client: FlaskClient, services: Services, database: Database, job_id: str, column: str
) -> None:
    change(database, f"UPDATE jobs SET {column} = '{{', state = 'failed' WHERE id = :id", id=job_id)
    assert client.post(f"/jobs/{job_id}/resume").status_code == 200
    job = wait_for(services, job_id, State.FAILED, State.SUCCEEDED)
    assert (job.state, f"{column} in the database can't be read") == (State.FAILED, job.error or job.unreadable)
    other = upload(client, GOOD)
    assert wait_for(services, other, State.SUCCEEDED).done == 3


def test_teams_and_messages_that_cannot_be_read_are_shown(
    client: FlaskClient, services: Services, database: Database
) -> None:
    job_id = upload(client, b"team,members\nred,Ann;Bob\nblue,Cid\n", "/createBulkTeam")
    wait_for(services, job_id, State.SUCCEEDED)
    change(database, "UPDATE teams SET name = CAST(:odd AS TEXT) WHERE name = 'red'", odd=b"r\xffd")
    change(database, "UPDATE team_members SET name = CAST(:odd AS TEXT) WHERE name = 'Bob'", odd=b"\xff")
    assert [team["members"] for team in found(client, "/teams")["teams"]] == [["Ann", "\udcff"], ["Cid"]]
    change(
        database,
        "INSERT INTO webhooks (message_id, job_key, url, body, created_at, attempts) "
        "SELECT 'm', key, 'u', '{', 'x', 0 FROM jobs",
    )
    change(database, "UPDATE job_events SET at = 'x', why = CAST(:odd AS TEXT)", odd=b"\xff")
    (message,) = found(client, f"/jobs/{job_id}/webhooks")["webhooks"]
    assert (message["type"], message["created_at"]) == (None, None)
    assert len(found(client, f"/jobs/{job_id}/events")["events"]) == 3
