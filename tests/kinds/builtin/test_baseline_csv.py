from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text

from jobsvc.kinds.builtin.baseline_csv import BaselineCSV, BaselineParams
from jobsvc.kinds.contract import JobContext, JobFailed
from jobsvc.store.database import Database
from jobsvc.store.tables import jobs, records, refused_rows
from jobsvc.web.services import Services
from tests.support.api import Api
from tests.support.csv_files import files, limits, never
from tests.support.stores import names

pytestmark = pytest.mark.both_databases

CREATED = datetime(2026, 1, 31, 23, 59, tzinfo=UTC)


def refusals(database: Database) -> list[tuple[int, int, int, int, str]]:
    columns = refused_rows.c
    query = select(columns.item, columns.line, columns.offset, columns.length, columns.error).order_by(columns.item)
    with database.read() as connection:
        return [tuple(row) for row in connection.execute(query)]


def test_every_row_becomes_a_record_with_its_fields(api: Api) -> None:
    job_id = api.upload('name,note,date\nAda,"a, ""b""\nc",1815-12-10\nGrace,é日本\\,1906-12-09T08:00\n')
    job = api.succeeded(job_id)
    assert job["progress"]["done"] == 2
    assert job["progress"]["failed"] == 0
    assert job["progress"]["percent"] == 100
    assert [(record["row"], record["date"], record["data"]) for record in api.records(job_id)] == [
        (1, "1815-12-10", {"name": "Ada", "note": 'a, "b"\nc', "date": "1815-12-10"}),
        (2, "1906-12-09", {"name": "Grace", "note": "é日本\\", "date": "1906-12-09T08:00"}),
    ]


def test_records_are_stored_as_the_design_says(api: Api, database: Database) -> None:
    job_id = api.upload('date,b\n2026-01-01,x\n2026-01-02,"y"\n')
    api.succeeded(job_id)
    with database.read() as connection:
        key, columns = connection.execute(select(jobs.c.key, jobs.c.columns).where(jobs.c.id == job_id)).one()
        stored = [tuple(row) for row in connection.execute(select(records).order_by(records.c.row))]
        query = text("SELECT job_id, row, date, CAST(data AS TEXT) FROM record_objects ORDER BY row")
        objects = [tuple(row) for row in connection.execute(query)]
        stored = [(job_key, row, day, json.loads(data)) for job_key, row, day, data in stored]
    assert columns == ["date", "b"]
    assert stored == [(key, 1, "2026-01-01", ["2026-01-01", "x"]), (key, 2, "2026-01-02", ["2026-01-02", "y"])]
    assert [row[:3] for row in objects] == [(job_id, 1, "2026-01-01"), (job_id, 2, "2026-01-02")]
    assert json.loads(objects[1][3]) == {"date": "2026-01-02", "b": "y"}


def test_the_date_column_may_be_chosen(api: Api) -> None:
    job_id = api.upload("date,born\nnonsense,2001-02-03\n", date_column="born")
    api.succeeded(job_id)
    assert [record["date"] for record in api.records(job_id)] == ["2001-02-03"]


def test_a_date_column_that_is_not_there_is_refused_at_the_upload(client: FlaskClient, services: Services) -> None:
    form = {"date_column": "born", "file": (io.BytesIO(b"a,b\n1,2\n"), "x.csv")}
    answer = client.post("/uploadCSV", data=form)
    assert (answer.status_code, answer.get_json()) == (
        400,
        {
            "errorType": "invalid_date_column",
            "message": "date_column: there is no column 'born' to take the date from; the header has a, b",
        },
    )
    assert names(services.files.directory) == []
    assert client.get("/jobs").get_json()["jobs"] == []


def test_a_date_column_that_is_not_there_fails_a_job_that_was_accepted_with_it(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_bytes(b"a,b\n1,2\n")
    with pytest.raises(JobFailed, match=r"^there is no column 'born' to take the date from; the header has a, b$"):
        BaselineCSV().open(context(path, "born"))


def test_without_a_date_column_the_day_of_the_upload_is_taken(api: Api) -> None:
    job_id = api.upload('a,b\n1,2\n"3",4\n')
    job = api.succeeded(job_id)
    assert {record["date"] for record in api.records(job_id)} == {job["created_at"][:10]}


@pytest.mark.parametrize("day", ["2026-02-30", "2013-W01-1", "20260101xx", "", "31.12.2026", "2026-1-1", "0000-01-01"])
def test_a_row_without_an_iso_date_is_refused(api: Api, database: Database, day: str) -> None:
    job_id = api.upload(f"a,date\n1,2026-01-01\n2,{day}\n3,2026-01-03\n")
    job = api.succeeded(job_id)
    assert (job["progress"]["done"], job["progress"]["failed"]) == (2, 1)
    assert [record["row"] for record in api.records(job_id)] == [1, 3]
    ((item, line, offset, length, error),) = refusals(database)
    assert (item, line, offset, length) == (2, 3, 20, len(day) + 3)
    assert error.startswith(f"date is {day!r}")


def test_refused_rows_are_kept_with_their_place_and_counted_once(api: Api, database: Database) -> None:
    content = b'a,b\n1,2\n\n"x\ny",2\n1,2,3\nn\0,2\n\xff,2\nl"l,"2"2\n8,"9'
    job_id = api.upload(content)
    job = api.succeeded(job_id)
    assert [job["progress"][name] for name in ("done", "failed", "blank")] == [2, 5, 1]
    assert [record["row"] for record in api.records(job_id)] == [1, 2]
    found = refusals(database)
    assert [(item, line, content[offset : offset + length]) for item, line, offset, length, _ in found] == [
        (3, 6, b"1,2,3\n"),
        (4, 7, b"n\0,2\n"),
        (5, 8, b"\xff,2\n"),
        (6, 9, b'l"l,"2"2\n'),
        (7, 10, b'8,"9'),
    ]


def test_a_header_alone_succeeds_with_nothing_done(api: Api) -> None:
    job = api.succeeded(api.upload("a,b\n"))
    assert (job["progress"]["done"], job["progress"]["failed"]) == (0, 0)


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"\n,\n\n", "there is no header"), (b'"a\n', "never closed"), (b"\xff,b\n1,2\n", "0xff doesn't decode as utf-8")],
)
def test_a_file_without_a_header_that_can_be_read_is_refused(
    client: FlaskClient, services: Services, content: bytes, why: str
) -> None:
    answer = client.post("/uploadCSV", data=content)
    assert (answer.status_code, answer.get_json()["errorType"]) == (400, "File not accepted")
    assert why in answer.get_json()["message"]
    assert list(services.files.directory.glob("*.input")) == []


def test_columns_without_a_name_or_with_the_same_are_named_with_a_warning(api: Api) -> None:
    job_id = api.upload("a,a,,\n1,2,3,\n4,5,6,\n")
    job = api.succeeded(job_id)
    assert [record["data"] for record in api.records(job_id)] == [
        {"a": "1", "a_2": "2", "column_3": "3", "column_4": ""},
        {"a": "4", "a_2": "5", "column_3": "6", "column_4": ""},
    ]
    assert job["warnings"] == [
        "columns without a name were named by their place: column_3, column_4",
        "columns with the name of an earlier one were numbered: a_2",
    ]


def test_a_plain_file_has_no_warnings(api: Api) -> None:
    assert api.succeeded(api.upload("date,b\n2026-01-01,2\n"))["warnings"] == []


@pytest.mark.in_one_app
@pytest.mark.parametrize(
    ("header", "column"), [(" date,b", None), ("Date,b", None), ("b, DATE ", None), ("When,b", "when")]
)
def test_the_column_of_dates_is_found_in_any_case_and_with_spaces_around_it(
    api: Api, header: str, column: str | None
) -> None:
    options = {} if column is None else {"date_column": column}
    job_id = api.upload(f"{header}\n2026-01-02,2026-01-02\n", **options)
    api.succeeded(job_id)
    assert [record["date"] for record in api.records(job_id)] == ["2026-01-02"]


def test_an_empty_date_column_says_that_there_is_none(api: Api) -> None:
    job_id = api.upload("date,b\nnonsense,1\n", date_column="")
    job = api.succeeded(job_id)
    assert [record["date"] for record in api.records(job_id)] == [job["created_at"][:10]]


@pytest.mark.parametrize("quoted", [False, True])
def test_dates_are_read_by_the_format_that_is_given(api: Api, quoted: bool) -> None:
    rows = ["31/12/2006,a", " 01/02/2007 ,b"]
    if quoted:
        rows[0] = '"31/12/2006","a"'
    job_id = api.upload("date,b\n" + "\n".join(rows) + "\n2007-02-01,c\n", date_format="%d/%m/%Y")
    job = api.succeeded(job_id)
    assert [record["date"] for record in api.records(job_id)] == ["2006-12-31", "2007-02-01"]
    assert job["progress"]["failed"] == 1


@pytest.mark.in_one_app
@pytest.mark.parametrize("form", ["%d/%m", "nonsense", "%H:%M", "%", "%Q"])
def test_a_format_that_tells_no_date_is_refused(client: FlaskClient, form: str) -> None:
    answer = client.post("/uploadCSV", query_string={"date_format": form}, data=b"date\n1\n")
    assert (answer.status_code, answer.get_json()["errorType"]) == (400, "invalid_date_format")
    assert "%d/%m/%Y" in answer.get_json()["message"]


def test_a_format_without_a_column_of_dates_is_refused(client: FlaskClient) -> None:
    answer = client.post("/uploadCSV", query_string={"date_format": "%d.%m.%Y"}, data=b"a\n1\n")
    assert (answer.status_code, answer.get_json()["errorType"]) == (400, "invalid_date_format")


def test_a_job_that_refused_every_row_is_failed_with_the_commonest_reason_and_what_helps(api: Api) -> None:
    rows = "".join(f"{day:02}/01/2006,{day}\n" for day in range(1, 32))
    job = api.wait_for(api.upload("date,no2\n" + rows + "x\n"), "failed", "succeeded")
    assert job["state"] == "failed"
    assert job["error"].startswith("all 32 rows were refused, most often since date is '13/01/2006'")
    assert job["error"].endswith("; date_format=%d/%m/%Y reads it")


def test_missing_fields_are_filled_where_that_is_asked_for(api: Api) -> None:
    job_id = api.upload('a,b,c\n1\n"2",3\n4,5,6\n', ragged="pad")
    api.succeeded(job_id)
    assert [list(record["data"].values()) for record in api.records(job_id)] == [
        ["1", "", ""],
        ["2", "3", ""],
        ["4", "5", "6"],
    ]


def test_many_blocks_of_both_sorts_make_each_record_once(api: Api, database: Database) -> None:
    rows = [[str(number), 'q"' if 1000 < number < 1400 else "plain", "2026-01-01"] for number in range(1, 3501)]
    out = io.StringIO(newline="")
    csv.writer(out).writerows([["n", "what", "date"], *rows])
    job = api.succeeded(api.upload(out.getvalue()))
    assert job["progress"]["done"] == 3500
    with database.read() as connection:
        stored = [
            (row, json.loads(data))
            for row, data in connection.execute(select(records.c.row, records.c.data).order_by(records.c.row))
        ]
    assert stored == list(enumerate(rows, 1))


def context(path: Path, date_column: str | None) -> JobContext:
    params = BaselineParams(delimiter=",", date_column=date_column)
    unused: Any = None
    return JobContext(
        key=7,
        id="id",
        params=params,
        created_at=CREATED,
        cursor=None,
        columns=None,
        attempt=1,
        open_input=lambda: path.open("rb"),
        open_output=unused,
        read=unused,
        stopped=unused,
        batch_items=lambda: 2000,
    )


@settings(deadline=None, max_examples=150)
@given(
    st.one_of(
        files(),
        st.lists(
            st.sampled_from(
                [
                    '"2026-01-01","x,","y"\n',
                    '"2026-01-01","x","2026-01-05"\r\n',
                    "2026-01-01,x,y\n",
                    "2026-13-01,x,y\n",
                    "2026-01-01T1,\x1f,\\\r\n",
                    '"2026-01-02",\x7f,é\n',
                    "x,y,2\n",
                ]
            ),
            max_size=8,
        ).map(lambda rows: b"date,b,c\n" + "".join(rows).encode()),
    ),
    st.sampled_from([None, "a", "b", "c", "date"]),
    st.sampled_from([1, 3, 1000]),
)
def test_records_from_plain_lines_equal_those_from_parsed_ones(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, date_column: str | None, batch: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "one.csv"
    path.write_bytes(data)
    found = []
    with limits(batch=batch):
        for plain in (True, False):
            try:
                work = BaselineCSV().open(context(path, date_column))
            except JobFailed:
                assert date_column not in data.splitlines()[0].decode("utf-8-sig").split(",")
                return
            with work:
                source = work.source  # type: ignore[attr-defined]
                batches = work.batches() if plain else source.batches(work._record, rows=never)  # type: ignore[attr-defined]
                read = [(list(batch.items), batch) for batch in batches]
                found.append(
                    (
                        [item for items, _ in read for item in items],
                        [refusal for items, batch in read for refusal in batch.end(len(items)).refused],
                    )
                )
    assert found[0] == found[1]
    for key, _, day, stored in found[0][0]:
        assert key == 7
        assert datetime.fromisoformat(day).date().isoformat() == day
        assert len(json.loads(stored)) == 3
