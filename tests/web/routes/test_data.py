"""GET /records and /teams."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from jobsvc.jobs.states import State
from jobsvc.web.services import Services
from tests.support.requests import assert_problem, upload
from tests.support.waiting import wait_for

pytestmark = pytest.mark.both_databases

RECORDS = b'day,name\n2026-01-01,Ann\n2026-01-02,"B, ""ob"""\nno date,refused\n2026-01-04,\xc3\xa9\n'
TEAMS = b"team,members,captain\nred,Ann;Bob,Cid\nblue,,\nred,Eve,\ngreen,Dan,\n"


def imported(client: FlaskClient, services: Services, content: bytes, route: str, **fields: str) -> str:
    job_id = upload(client, content, route, **fields)
    wait_for(services, job_id, State.SUCCEEDED)
    return job_id


def pages(client: FlaskClient, name: str, limit: int, **query: Any) -> list[list[dict[str, Any]]]:
    """All pages of /records or /teams."""
    found = []
    query["limit"] = limit
    while True:
        answer = client.get(f"/{name}", query_string=query)
        assert answer.status_code == 200, answer.text
        assert isinstance(answer.json, dict)
        assert list(answer.json) == [name, "next"]
        found.append(answer.json[name])
        if answer.json["next"] is None:
            return found
        query["after"] = answer.json["next"]


def test_records_show_their_fields_by_name_and_keep_the_row_of_the_file(
    client: FlaskClient, services: Services
) -> None:
    job_id = imported(client, services, RECORDS, "/uploadCSV", date_column="day")
    assert client.get("/records").json == {
        "records": [
            {"job_id": job_id, "row": row, "date": day, "data": {"day": day, "name": name}}
            for row, day, name in (
                (1, "2026-01-01", "Ann"),
                (2, "2026-01-02", 'B, "ob"'),
                (4, "2026-01-04", "é"),
            )
        ],
        "next": None,
    }


def test_teams_show_their_members_in_order(client: FlaskClient, services: Services) -> None:
    job_id = imported(client, services, TEAMS, "/createBulkTeam")
    answer = client.get("/teams").json
    assert isinstance(answer, dict)
    ids = [team.pop("id") for team in answer["teams"]]
    assert ids == sorted(set(ids))
    assert answer == {
        "teams": [
            {"job_id": job_id, "row": 1, "name": "red", "members": ["Ann", "Bob", "Cid"]},
            {"job_id": job_id, "row": 2, "name": "blue", "members": []},
            {"job_id": job_id, "row": 4, "name": "green", "members": ["Dan"]},
        ],
        "next": None,
    }


@pytest.mark.parametrize(
    ("name", "route", "contents"),
    [
        ("records", "/uploadCSV", [b"n\n1\n2\n3\n", b"m\n4\n5\n"]),
        ("teams", "/createBulkTeam", [b"team\na\nb\nc\n", b"team\nd\ne\n"]),
    ],
)
def test_following_next_shows_everything_once_and_job_limits_it_to_one_job(
    client: FlaskClient, services: Services, name: str, route: str, contents: list[bytes]
) -> None:
    first, second = (imported(client, services, content, route) for content in contents)
    (everything,) = pages(client, name, 1000)
    assert [entry["job_id"] for entry in everything] == [first] * 3 + [second] * 2
    for limit in (1, 2, 3, 5):
        found = pages(client, name, limit)
        assert [entry for entries in found for entry in entries] == everything
        assert len(found) == -(-5 // limit)
        (*_, last) = pages(client, name, limit, job=second)
        assert last[-1] == everything[-1]
    assert pages(client, name, 2, job=second) == [everything[3:]]
    assert pages(client, name, 2, job=first) == [everything[:2], everything[2:3]]


@pytest.mark.parametrize("name", ["records", "teams"])
def test_before_anything_was_made_there_is_nothing(shared_client: FlaskClient, name: str) -> None:
    assert shared_client.get(f"/{name}").json == {name: [], "next": None}


@pytest.mark.parametrize("path", ["/records", "/teams"])
@pytest.mark.parametrize("job", ["unknown", "%00", "%ff"])
def test_a_job_that_nobody_made_is_unknown(shared_client: FlaskClient, path: str, job: str) -> None:
    assert_problem(shared_client.get(f"{path}?job={job}"), 404, "unknown-job")


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        ("/records?limit=0", "limit"),
        ("/records?limit=x", "limit"),
        ("/records?after=1", "after"),
        ("/records?after=1.2.3", "after"),
        ("/records?after=1.x", "after"),
        ("/records?after=.", "after"),
        ("/teams?limit=1001", "limit"),
        ("/teams?after=1.2", "after"),
        ("/teams?after=-1", "after"),
    ],
)
def test_a_parameter_that_can_not_be_read_is_refused(shared_client: FlaskClient, path: str, parameter: str) -> None:
    assert assert_problem(shared_client.get(path), 400, "invalid-parameter")["parameter"] == parameter
