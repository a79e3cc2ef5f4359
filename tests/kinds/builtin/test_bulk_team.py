from __future__ import annotations

import pytest
from sqlalchemy import select

from jobsvc.store.database import Database
from jobsvc.store.tables import refused_rows
from tests.support.api import Api

pytestmark = pytest.mark.both_databases

ROUTE = "/createBulkTeam"


def refusals(database: Database) -> list[tuple[int, int, str]]:
    columns = refused_rows.c
    query = select(columns.item, columns.line, columns.error).order_by(columns.job_key, columns.item)
    with database.read() as connection:
        return [tuple(row) for row in connection.execute(query)]


def teams(api: Api, job_id: str) -> list[tuple[int, str, list[str]]]:
    return [(team["row"], team["name"], team["members"]) for team in api.teams(job_id)]


def test_every_row_becomes_a_team_with_its_members_in_order(api: Api) -> None:
    job_id = api.upload("team,lead,second\nRed,Zoe,Ann\nBlue,Bob,\nGreen,,\nWhite,, Eve \n", ROUTE)
    assert api.succeeded(job_id)["progress"]["done"] == 4
    assert teams(api, job_id) == [
        (1, "Red", ["Zoe", "Ann"]),
        (2, "Blue", ["Bob"]),
        (3, "Green", []),
        (4, "White", ["Eve"]),
    ]


def test_a_members_column_holds_several_separated_by_semicolons_and_others_do_not(api: Api) -> None:
    job_id = api.upload('team,lead,members,last\nRed,A;B,C; D ;;"E",F;G\n', ROUTE)
    api.succeeded(job_id)
    assert teams(api, job_id) == [(1, "Red", ["A;B", "C", "D", '"E"', "F;G"])]


def test_a_member_named_twice_is_kept_twice(api: Api) -> None:
    job_id = api.upload("team,members\nRed,A;A\n", ROUTE)
    api.succeeded(job_id)
    assert teams(api, job_id) == [(1, "Red", ["A", "A"])]


def test_a_header_of_the_team_alone_makes_teams_without_members(api: Api) -> None:
    job_id = api.upload("team\nRed\nBlue", ROUTE)
    api.succeeded(job_id)
    assert teams(api, job_id) == [(1, "Red", []), (2, "Blue", [])]


@pytest.mark.parametrize("name", ["", "  ", '""'])
def test_a_team_without_a_name_is_refused(api: Api, database: Database, name: str) -> None:
    job_id = api.upload(f"team,member\n{name},Ann\nRed,Bob\n", ROUTE)
    job = api.succeeded(job_id)
    assert (job["progress"]["done"], job["progress"]["failed"]) == (1, 1)
    assert refusals(database) == [(1, 2, "the team has no name")]


def test_a_name_that_comes_twice_in_a_file_is_refused_the_second_time(api: Api, database: Database) -> None:
    job_id = api.upload('team,member\nRed,Ann\n"Blue\n",Bob\n Red ,Eve\nred,Joe\nRed,Kim\n', ROUTE)
    job = api.succeeded(job_id)
    assert (job["progress"]["done"], job["progress"]["failed"]) == (3, 2)
    assert teams(api, job_id) == [(1, "Red", ["Ann"]), (2, "Blue", ["Bob"]), (4, "red", ["Joe"])]
    assert refusals(database) == [
        (3, 5, "a team called 'Red' exists already"),
        (5, 7, "a team called 'Red' exists already"),
    ]


def test_a_name_comes_twice_also_when_many_rows_lie_between(api: Api, database: Database) -> None:
    names = [f"Team {number}" for number in range(1, 2501)]
    job_id = api.upload("team,member\n" + "".join(f"{name},x\n" for name in [*names, names[0], names[-1]]), ROUTE)
    job = api.succeeded(job_id)
    assert (job["progress"]["done"], job["progress"]["failed"]) == (2500, 2)
    assert [(item, line) for item, line, _ in refusals(database)] == [(2501, 2502), (2502, 2503)]


def test_a_name_that_another_job_has_made_is_refused_and_that_team_stays_as_it_is(api: Api, database: Database) -> None:
    first = api.upload("team,member\nRed,Ann\n", ROUTE)
    api.succeeded(first)
    second = api.upload("team,member\nGreen,Kim\nRed,Bob\nRed,Joe\nBlue,Eve\n", ROUTE)
    job = api.succeeded(second)
    assert (job["progress"]["done"], job["progress"]["failed"]) == (2, 2)
    assert teams(api, first) == [(1, "Red", ["Ann"])]
    assert teams(api, second) == [(1, "Green", ["Kim"]), (4, "Blue", ["Eve"])]
    assert refusals(database) == [
        (2, 3, "a team called 'Red' exists already"),
        (3, 4, "a team called 'Red' exists already"),
    ]


def test_a_file_of_names_that_all_exist_fails_with_nothing_done(api: Api) -> None:
    content = "team,member\nRed,Ann\nBlue,Bob\n"
    api.succeeded(api.upload(content, ROUTE))
    again = api.upload(content, ROUTE)
    job = api.wait_for(again, "failed", "succeeded")
    assert (job["state"], job["progress"]["done"], job["progress"]["failed"]) == ("failed", 0, 2)
    assert job["error"] == "all 2 rows were refused, most often since a team called 'Red' exists already"
    assert teams(api, again) == []


def test_rows_that_the_reader_and_the_kind_refuse_are_both_counted(api: Api, database: Database) -> None:
    job = api.succeeded(api.upload("team,member\nRed,Ann\nRed,Bob\nx\n,y\nBlue,Eve\n", ROUTE))
    assert (job["progress"]["done"], job["progress"]["failed"]) == (3, 2)
    assert [(item, line) for item, line, _ in refusals(database)] == [(2, 3), (4, 5)]


def test_a_row_has_as_many_members_as_it_has(api: Api) -> None:
    job_id = api.upload('team,members\nRed\nBlue,Ann;Bob,Eve,"Kim"\n', ROUTE)
    job = api.succeeded(job_id)
    assert job["progress"]["failed"] == 0
    assert teams(api, job_id) == [(1, "Red", []), (2, "Blue", ["Ann", "Bob", "Eve", "Kim"])]


def test_a_file_whose_first_column_is_not_the_team_fails(api: Api) -> None:
    job = api.wait_for(api.upload("name,team\nx,y\n", ROUTE), "failed", "succeeded")
    assert job["state"] == "failed"
    assert job["error"] == "the first column must be called 'team'; the header has name, team"
