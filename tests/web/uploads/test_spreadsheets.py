"""What people's spreadsheets are: they go in as they are, with one option at most, which the answer names."""

from __future__ import annotations

import io
import re

import pytest
from flask.testing import FlaskClient

from jobsvc.jobs.states import State
from jobsvc.web.services import Services
from tests.support.requests import CSV, upload
from tests.support.waiting import wait_for

ROWS = ["Datum;Name;Betrag;;", ";;;;", "31/12/2006;Müller;1,5;;", "", "01/02/2007;O'Neil;2,5;;", ";;;;"]


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-8"])
def test_a_spreadsheet_goes_in_with_the_one_option_that_the_answer_names(
    client: FlaskClient, services: Services, end: str, encoding: str
) -> None:
    content = ("\ufeff" + end.join(ROWS) + end).replace("Datum", " Date ").encode(encoding)
    first = wait_for(services, upload(client, content), State.FAILED)
    assert (first.done, first.failed, first.blank) == (0, 2, 3)
    assert first.error is not None
    (named,) = re.findall(r"date_format=(\S+) reads it", first.error)
    job = wait_for(services, upload(client, content, date_format=named), State.SUCCEEDED)
    assert (job.done, job.failed, job.blank) == (2, 0, 3)
    assert "the delimiter was detected: semicolon" in job.warnings
    assert "columns without a name were named by their place: column_4, column_5" in job.warnings
    found = client.get(f"/records?job={job.id}").get_json()["records"]
    assert [(record["date"], record["data"]["Name"]) for record in found] == [
        ("2006-12-31", "Müller"),
        ("2007-02-01", "O'Neil"),
    ]


def test_a_survey_s_rows_without_their_last_fields_go_in_with_the_option_that_the_answer_names(
    client: FlaskClient, services: Services
) -> None:
    content = b"date,a,b,c\n2026-01-01,1\n2026-01-02\n2026-01-03,1,2\n"
    first = wait_for(services, upload(client, content), State.FAILED)
    assert first.error is not None
    assert "ragged=pad" in first.error
    job = wait_for(services, upload(client, content, ragged="pad"), State.SUCCEEDED)
    assert (job.done, job.warnings) == (3, ["missing fields at the end of rows were filled with nothing (ragged=pad)"])
    full = wait_for(services, upload(client, b"a,b\n1,2\n", ragged="pad"), State.SUCCEEDED)
    assert full.warnings == []


def test_titles_with_a_quote_mark_of_their_own_lose_nothing(client: FlaskClient, services: Services) -> None:
    titles = ['"', 'The "best" of', '"Quoted" first', 'inch 5"', "plain", '"never', '""']
    content = "date\ttitle\n" + "".join(f"2026-01-01\t{title}\n" for title in titles)
    strict = upload(client, content.encode())
    job = wait_for(services, strict, State.SUCCEEDED)
    kept = [record["data"]["title"] for record in client.get(f"/records?job={strict}").get_json()["records"]]
    assert (job.done + job.failed, job.blank) == (len(titles), 0)
    assert all(title in (*titles, "") for title in kept)
    failed = client.get(f"/jobs/{strict}/failed").data.decode()
    assert failed.count("quotes=none takes such quote marks as characters") == job.failed
    assert all(f"\t{title}\n" in failed for title in titles if title not in kept and title != '""')
    none = upload(client, content.encode(), quotes="none")
    wait_for(services, none, State.SUCCEEDED)
    assert [record["data"]["title"] for record in client.get(f"/records?job={none}").get_json()["records"]] == titles


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"PK\x03\x04\x14\0\x06\0xl/workbook.xml", "Excel workbook (xlsx)"),
        (b"PK\x03\x04\x14\0people.csv", "zip archive"),
        (b"", "empty"),
    ],
)
def test_what_is_no_csv_is_named_and_nothing_is_kept(
    client: FlaskClient, services: Services, content: bytes, named: str
) -> None:
    answer = client.post("/uploadCSV", data={"file": (io.BytesIO(content), "x.csv")})
    assert answer.status_code == 400
    assert named in answer.get_json()["message"]
    assert client.get("/jobs").get_json()["jobs"] == []
    assert upload(client, CSV)
