"""No answer and no export takes memory by how much there is to tell."""

from __future__ import annotations

import gc
import json
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import insert, select, text

from jobsvc.jobs.states import State
from jobsvc.kinds.builtin import export_columns
from jobsvc.store.database import Database
from jobsvc.store.tables import job_events, jobs, records, team_members, teams, webhooks
from jobsvc.web.services import Services
from tests.support.requests import upload
from tests.support.waiting import wait_for

MIB = 1024 * 1024

MAX_BYTES = 40 * MIB
"""A page or a piece, as objects and as text; what is there to be told is several times as much."""

DAY = "2026-01-01"


@pytest.fixture
def database(services: Services) -> Iterator[Database]:
    database = Database(services.settings.url)
    yield database
    database.close()


@contextmanager
def little_memory(most: int = MAX_BYTES) -> Iterator[None]:
    gc.collect()
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < most, f"it took {peak / MIB:.0f} MiB"


def made(client: FlaskClient, services: Services, database: Database, count: int = 1) -> list[tuple[str, int]]:
    """Jobs that have made nothing yet: their ids and keys."""
    ids = [upload(client, b"a\n") for _ in range(count)]
    for job_id in ids:
        wait_for(services, job_id, State.SUCCEEDED)
    with database.read() as connection:
        found = connection.execute(select(jobs.c.id, jobs.c.key).order_by(jobs.c.key))
        return [(row.id, row.key) for row in found]


def fill(database: Database, key: int, columns: list[str], fields: list[str], count: int) -> None:
    """Give a job records, all with the same fields."""
    with database.write() as connection:
        connection.execute(jobs.update().where(jobs.c.key == key).values(columns=columns))
        rows = [{"job_key": key, "row": row, "date": DAY, "data": json.dumps(fields)} for row in range(1, count + 1)]
        connection.execute(insert(records), rows)


def pages(client: FlaskClient, path: str, name: str) -> Iterator[list[Any]]:
    after = ""
    while True:
        answer = client.get(f"{path}{after}").get_json()
        assert answer[name]
        yield answer[name]
        if answer["next"] is None:
            return
        after = f"&after={answer['next']}"


def test_a_page_of_records_ends_by_what_it_holds_with_the_names_of_wide_jobs(
    client: FlaskClient, services: Services, database: Database
) -> None:
    ((_, key),) = made(client, services, database)
    fill(database, key, [f"a narrow column {number}" for number in range(20_000)], ["x"] * 20_000, 40)
    with little_memory():
        answer = client.get("/records?limit=400")
    assert len(answer.data) < 2 * MIB
    rows = [[record["row"] for record in page] for page in pages(client, "/records?limit=400", "records")]
    assert list(chain(*rows)) == list(range(1, 41))
    assert len(rows) > 2


@pytest.mark.both_databases
def test_large_records_are_not_all_read_for_a_page_or_an_export(
    client: FlaskClient, services: Services, database: Database
) -> None:
    ((_, key),) = made(client, services, database)
    fill(database, key, ["a"], ["x" * MIB], 48)
    with little_memory():
        assert client.get("/records?limit=400").status_code == 200
    with little_memory():
        job = wait_for(services, exported(client), State.SUCCEEDED)
    assert services.files.result(job.id, job.attempt).size > 48 * MIB  # type: ignore[union-attr]


def exported(client: FlaskClient) -> str:
    answer = client.post("/exportData", json={"from": DAY, "to": DAY})
    return str(answer.get_json()["Job ID"])


def test_an_export_of_jobs_with_many_columns_is_written_in_small_pieces(
    client: FlaskClient, services: Services, database: Database
) -> None:
    (_, wide), (_, narrow) = made(client, services, database, 2)
    fill(database, wide, [f"{column}" for column in range(50_000)], ["x"] * 50_000, 1)
    fill(database, narrow, ["z"], ["x"], 100)
    with little_memory():
        job = wait_for(services, exported(client), State.SUCCEEDED)
    with services.results.open(services.results.file(job)) as file:
        assert [line.count(b",") for line in file] == [3 + 50_000] * (1 + 1 + 100)


def test_an_export_of_too_many_columns_says_so_and_one_job_can_always_be_exported(
    client: FlaskClient, services: Services, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_columns, "MAX_COLUMNS", 3)
    (_, first), (second_id, second) = made(client, services, database, 2)
    fill(database, first, ["a", "b"], ["1", "2"], 1)
    fill(database, second, ["b", "c", "d", "e"], ["1", "2", "3", "4"], 1)
    job = wait_for(services, exported(client), State.FAILED, State.SUCCEEDED)
    assert "more than 3 columns together; export fewer dates, or one job at a time" in (job.error or "")
    answer = client.post("/exportData", json={"from": DAY, "to": DAY, "job": second_id})
    assert wait_for(services, answer.get_json()["Job ID"], State.SUCCEEDED, State.FAILED).error is None


@pytest.mark.both_databases
def test_a_list_of_jobs_does_not_read_what_only_their_runs_need(
    client: FlaskClient, services: Services, database: Database
) -> None:
    found = made(client, services, database, 30)
    with database.write() as connection:
        wide = {"columns": ["x" * MIB], "cursor": {"offset": 0, "more": "x" * MIB}}
        connection.execute(jobs.update().values(**wide))
    with little_memory(8 * MIB):
        assert len(client.get("/jobs").get_json()["jobs"]) == 30
        assert client.get(f"/jobs/{found[0][0]}").status_code == 200


@pytest.mark.both_databases
def test_a_page_of_jobs_ends_by_what_it_holds(client: FlaskClient, services: Services, database: Database) -> None:
    found = made(client, services, database, 16)
    with database.write() as connection:
        connection.execute(jobs.update().values(params={"date_column": "x" * MIB}))
    with little_memory():
        client.get("/jobs?limit=400")
    listed = [[job["id"] for job in page] for page in pages(client, "/jobs?limit=400", "jobs")]
    assert list(chain(*listed)) == [job_id for job_id, _ in reversed(found)]
    assert len(listed) > 2


@pytest.mark.both_databases
def test_a_page_of_teams_ends_by_its_members(client: FlaskClient, services: Services, database: Database) -> None:
    ((_, key),) = made(client, services, database)
    with database.write() as connection:
        rows = [{"id": team, "job_key": key, "row": team, "name": f"team {team}"} for team in range(1, 9)]
        connection.execute(insert(teams), rows)
        # The first alone has more than a page.
        for team in range(1, 9):
            connection.execute(
                text(
                    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count) "
                    f"INSERT INTO {team_members.name} (team_id, position, name) SELECT :team, i, 'someone' FROM n"
                ),
                {"team": team, "count": 30_000 if team == 1 else 5_000},
            )
    with little_memory():
        client.get("/teams?limit=400")
    seen = [[team["id"] for team in page] for page in pages(client, "/teams?limit=400", "teams")]
    assert list(chain(*seen)) == list(range(1, 9))
    assert seen[0] == [1]
    assert len(seen) == 3


def test_refused_rows_are_given_back_a_few_at_a_time(client: FlaskClient, services: Services) -> None:
    row = b"x" * (19 * MIB // 10) + b",2,3\n"
    job_id = upload(client, b"a,b,c\n" + row * 24)
    job = wait_for(services, job_id, State.FAILED)
    assert job.failed == 24
    with little_memory():
        sizes = [len(piece) for piece in services.left_over.failed(job)]
    assert sum(sizes) > 24 * len(row)


@pytest.mark.both_databases
def test_a_long_history_is_sent_whole_and_read_in_pieces(
    client: FlaskClient, services: Services, database: Database
) -> None:
    ((job_id, key),) = made(client, services, database)
    body = '{"type":"job.paused","data":"' + "x" * 40_000 + '"}'
    with database.write() as connection:
        (first,) = connection.execute(select(job_events).limit(1)).mappings()
        event = {name: value for name, value in first.items() if name != "id"}
        connection.execute(insert(job_events), [event | {"why": f"{number}" * 500} for number in range(5000)])
        at = first["at"]
        rows = [{"message_id": f"m{number}", "url": "u", "body": body, "created_at": at} for number in range(600)]
        connection.execute(insert(webhooks), [row | {"job_key": key} for row in rows])
    with little_memory(16 * MIB), services_client(services, client) as plain:
        for path in ("events", "webhooks"):
            with plain.get(f"/jobs/{job_id}/{path}") as answer:
                assert sum(len(piece) for piece in answer.response) > 50_000
    events = client.get(f"/jobs/{job_id}/events").get_json()["events"]
    assert [event["why"] for event in events[3:]] == [f"{number}" * 500 for number in range(5000)]
    messages = client.get(f"/jobs/{job_id}/webhooks").get_json()["webhooks"]
    assert [message["id"] for message in messages] == [f"m{number}" for number in range(600)]
    assert {message["type"] for message in messages} == {"job.paused"}


@contextmanager
def services_client(services: Services, client: FlaskClient) -> Iterator[FlaskClient]:
    """A client that reads answers as they come."""
    yield FlaskClient(client.application, client.response_wrapper)
