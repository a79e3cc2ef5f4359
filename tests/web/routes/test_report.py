"""`GET /jobs/<id>/report`: what a job has found in its file."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from jobsvc.clock import now
from jobsvc.jobs.states import State
from jobsvc.kinds import Item, Refused, RowKind
from jobsvc.kinds.builtin.bulk_team import MAX_NAME_BYTES
from jobsvc.service.checking import report as reports
from jobsvc.service.retention import Retention, RetentionPolicy
from jobsvc.store.database import Database
from jobsvc.web.services import Services
from tests.support.gated import gated_checkpoints
from tests.support.requests import assert_problem, upload
from tests.support.stores import ALL
from tests.support.waiting import poll, wait_for

pytestmark = pytest.mark.both_databases

FILE = (
    b"date,n,m\n"
    b"2026-01-01,1,x\n"
    b"31.12.2025,2,x\n"
    b"\n"
    b"2026-01-01,3\n"
    b"soon,4,x\n"
    b"2026-01-01,5,x,y\n"
    b'2026-01-01,"6"6,x\n'
    b"2026-01-01,\xff,x\n"
    b"2026-01-01,\xe9,x\n"
)


def report(client: FlaskClient, job_id: str, query: str = "") -> dict[str, Any]:
    answer = client.get(f"/jobs/{job_id}/report{query}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json  # type: ignore[assignment]
    return found


def counts(found: dict[str, Any]) -> list[tuple[str, str | None, int]]:
    return [(reason["reason"], reason["column"], reason["count"]) for reason in found["reasons"]]


EXPECTED = [
    ("the field doesn't begin with a date YYYY-MM-DD", "date", 2),
    ("a byte doesn't decode as utf-8; encoding names another, such as cp1252", None, 2),
    ("fewer fields than the header's 3; ragged=pad fills missing ones", None, 1),
    ("more fields than the header's 3", None, 1),
    ("there is text after a closing quote; quotes=lazy or quotes=none takes such quote marks as characters", None, 1),
]


@pytest.mark.stores(*ALL)
@pytest.mark.parametrize("dry_run", ["true", "false"])
def test_refused_rows_are_counted_by_reason_and_column_with_samples(
    client: FlaskClient, services: Services, dry_run: str
) -> None:
    job_id = upload(client, FILE, dry_run=dry_run)
    wait_for(services, job_id, State.SUCCEEDED)
    found = report(client, job_id)
    told = {name: found[name] for name in ("job", "state", "complete", "done", "failed", "blank", "total", "refused")}
    assert told == {
        "job": job_id,
        "state": "succeeded",
        "complete": True,
        "done": 1,
        "failed": 7,
        "blank": 1,
        "total": 8,
        "refused": [],
    }
    assert counts(found) == EXPECTED
    assert found["reasons"][0]["samples"] == [
        {
            "line": 3,
            "row": 2,
            "error": "date is '31.12.2025', which doesn't begin with a date YYYY-MM-DD; date_format=%d.%m.%Y reads it",
            "text": "31.12.2025,2,x",
        },
        {
            "line": 6,
            "row": 4,
            "error": "date is 'soon', which doesn't begin with a date YYYY-MM-DD; "
            "date_format=%d/%m/%Y and the like read others",
            "text": "soon,4,x",
        },
    ]
    assert [sample["text"] for sample in found["reasons"][1]["samples"]] == ["2026-01-01,\\xff,x", "2026-01-01,\\xe9,x"]
    rows = report(client, job_id, "?refused=3")["refused"]
    assert [(row["line"], row["row"], row["text"]) for row in rows] == [
        (3, 2, "31.12.2025,2,x"),
        (5, 3, "2026-01-01,3"),
        (6, 4, "soon,4,x"),
    ]


def test_teams_that_exist_are_told_of_by_their_column(client: FlaskClient, services: Services) -> None:
    content = b"Team,member\nred,Ann\n,Bob\n red ,Cid\n" + b"x" * (MAX_NAME_BYTES + 1) + b",Dee\n"
    job_id = upload(client, content, "/createBulkTeam", dry_run="true")
    wait_for(services, job_id, State.SUCCEEDED)
    found = report(client, job_id)
    assert (found["done"], found["failed"]) == (1, 3)
    assert sorted(counts(found)) == [
        ("a team of this name exists already", "Team", 1),
        ("the team has no name", "Team", 1),
        (f"the team's name is longer than {MAX_NAME_BYTES} bytes", "Team", 1),
    ]


class Picky(RowKind):
    """Refuses every row but the first, each for a reason of its own."""

    name = "picky"

    def process(self, row: dict[str, str], item: Item) -> None:
        match row["how"]:
            case "plain":
                raise Refused(f"{row['n']!r} is no good, and neither is {row['n']}")
            case "column":
                raise Refused(f"{row['n']} is no good", group="no good", column="n")
            case "wild":
                raise Refused(f"no {row['n']}")


def test_reasons_of_other_kinds_are_alike_but_for_their_values_or_as_they_say(tmp_path: Path, make_app: Any) -> None:
    app: Flask = make_app([Picky()])
    services: Services = app.extensions["jobsvc"]
    rows = [f"{how},{n}" for how in ("plain", "column") for n in (7, 88)] + ["wild,zebra", "wild,'x'"]
    body = "\n".join(["how,n", "good,1", *rows, ""]).encode()
    answer = app.test_client().post("/kinds/picky/jobs", data=body)
    job_id = answer.json["id"]  # type: ignore[index]
    wait_for(services, job_id, State.SUCCEEDED)
    assert counts(report(app.test_client(), job_id)) == [
        ("… is no good, and neither is …", None, 2),
        ("no good", "n", 2),
        ("no zebra", None, 1),
        ("no …", None, 1),
    ]


def test_a_job_under_way_says_that_more_may_come(client: FlaskClient, services: Services) -> None:
    with gated_checkpoints() as gate:
        job_id = upload(client, b"date\n" + b"soon\n2026-01-01\n" * 10_000)
        gate.wait_reached(1)
        found = report(client, job_id)
        assert (found["complete"], found["total"], found["reasons"]) == (False, 0, [])
        gate.open(1)
        gate.wait_reached(2)
        found = report(client, job_id)
        assert 0 < found["total"] < 20_000
        assert (found["complete"], found["failed"]) == (False, found["reasons"][0]["count"])
    wait_for(services, job_id, State.SUCCEEDED)
    found = report(client, job_id)
    assert (found["complete"], found["failed"], found["done"]) == (True, 10_000, 10_000)
    assert [reason["count"] for reason in found["reasons"]] == [10_000]
    assert [sample["row"] for sample in found["reasons"][0]["samples"]] == [1, 3, 5, 7, 9]


def test_a_job_that_failed_says_whether_it_saw_everything(client: FlaskClient, services: Services) -> None:
    every, few = upload(client, b"date\nsoon\nlater\n\n"), upload(client, b"date\nsoon\nlater\nnow\n", max_failed="1")
    for job_id in (every, few):
        wait_for(services, job_id, State.FAILED)
    found = report(client, every)
    assert (found["complete"], found["failed"], [row["count"] for row in found["reasons"]]) == (True, 2, [2])
    found = report(client, few)
    assert (found["complete"], found["failed"], [row["count"] for row in found["reasons"]]) == (False, 2, [2])


def test_what_was_rolled_back_stays_in_the_report_as_it_was_looked_at(client: FlaskClient, services: Services) -> None:
    job_id = upload(client, FILE)
    wait_for(services, job_id, State.SUCCEEDED)
    assert client.post(f"/jobs/{job_id}/rollback").status_code in (200, 202)
    wait_for(services, job_id, State.TERMINATED)
    found = report(client, job_id)
    assert (found["done"], found["failed"], found["total"]) == (0, 7, 8)
    assert counts(found) == EXPECTED


def test_rows_are_shown_without_their_text_when_the_files_were_removed(client: FlaskClient, services: Services) -> None:
    job_id = upload(client, FILE)
    wait_for(services, job_id, State.SUCCEEDED)
    database = Database(services.settings.url)
    terms = RetentionPolicy(finished=None, files=timedelta(0), keys=timedelta(hours=1))
    Retention(database, services.files, terms, lambda _: now() + timedelta(seconds=1)).sweep()
    database.close()
    found = report(client, job_id, "?refused=1")
    assert counts(found) == EXPECTED
    assert {sample["text"] for reason in found["reasons"] for sample in reason["samples"]} == {None}
    assert [row["text"] for row in found["refused"]] == [None]


def test_rows_that_a_store_is_too_slow_for_are_shown_without_their_text(
    client: FlaskClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = upload(client, FILE)
    wait_for(services, job_id, State.SUCCEEDED)
    monkeypatch.setattr(reports, "SECONDS", -1.0)
    assert [row["text"] for row in report(client, job_id, "?refused=2")["refused"]] == [None, None]


def test_long_rows_are_shown_in_part(client: FlaskClient, services: Services) -> None:
    job_id = upload(client, b"date,n\nsoon," + b"x" * 100_000 + b"\n")
    wait_for(services, job_id, State.FAILED)
    (reason,) = report(client, job_id)["reasons"]
    assert reason["samples"][0]["text"] == "soon," + "x" * 994 + "…"


def test_what_an_earlier_version_has_refused_is_told_of_as_not_counted(client: FlaskClient, services: Services) -> None:
    job_id = upload(client, FILE)
    wait_for(services, job_id, State.SUCCEEDED)
    database = Database(services.settings.url)
    with database.write() as connection:
        connection.exec_driver_sql("DELETE FROM refusal_counts")
    database.close()
    (reason,) = report(client, job_id)["reasons"]
    assert (reason["reason"], reason["count"]) == (reports.UNCOUNTED, 7)
    assert [sample["row"] for sample in reason["samples"]] == [2, 3, 4, 5, 6]
    assert reason["samples"][0]["text"] == "31.12.2025,2,x"


def test_no_counts_stay_of_a_job_that_is_deleted(client: FlaskClient, services: Services) -> None:
    kept, deleted = upload(client, FILE), upload(client, FILE)
    for job_id in (kept, deleted):
        wait_for(services, job_id, State.SUCCEEDED)
    database = Database(services.settings.url)

    def counted() -> int:
        with database.read() as connection:
            return int(connection.exec_driver_sql("SELECT count(*) FROM refusal_counts").scalar_one())

    before = counted()
    assert client.delete(f"/jobs/{deleted}").status_code == 204
    assert_problem(client.get(f"/jobs/{deleted}/report"), 404, "unknown-job")
    poll(lambda: counted() == before // 2, 10, "the counts to go")
    database.close()
    assert counts(report(client, kept)) == EXPECTED


@pytest.mark.in_one_app
@pytest.mark.parametrize("given", ["101", "-1", "x", "", "1.5", "²"])
def test_how_many_rows_to_show_is_a_number_up_to_a_hundred(client: FlaskClient, services: Services, given: str) -> None:
    job_id = upload(client, FILE)
    answer = client.get(f"/jobs/{job_id}/report", query_string={"refused": given})
    assert assert_problem(answer, 400, "invalid-parameter")["parameter"] == "refused"


def test_a_report_that_is_the_same_is_not_sent_again(client: FlaskClient, services: Services) -> None:
    job_id = upload(client, FILE)
    wait_for(services, job_id, State.SUCCEEDED)
    first = client.get(f"/jobs/{job_id}/report")
    again = client.get(f"/jobs/{job_id}/report", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_a_job_that_is_not_there_has_no_report(client: FlaskClient) -> None:
    assert_problem(client.get("/jobs/never/report"), 404, "unknown-job")
