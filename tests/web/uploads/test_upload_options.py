"""Upload options: what each does, how a value that is not usable is refused, and which ones a kind has."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from jobsvc.jobs.job import Job
from jobsvc.jobs.states import State
from jobsvc.runs import runner
from jobsvc.store.database import Database
from jobsvc.store.tables import dry_run_teams, records, team_members, teams
from jobsvc.web.services import Services
from tests.support.flights import data_dir
from tests.support.gated import Gate, gated_checkpoints
from tests.support.requests import assert_problem, part, send, upload, whole
from tests.support.stores import names
from tests.support.waiting import poll, wait_for

ROUTES = ["/uploadCSV", "/createBulkTeam"]


@pytest.fixture
def gate() -> Iterator[Gate]:
    with gated_checkpoints() as gate:
        yield gate


def done(services: Services, job_id: str) -> Job:
    return wait_for(services, job_id, State.SUCCEEDED)


def fields(client: FlaskClient, job_id: str) -> list[dict[str, str]]:
    found = client.get(f"/records?job={job_id}&limit=1000").get_json()["records"]
    return [record["data"] for record in found]


def refusals(client: FlaskClient, job_id: str) -> list[list[str]]:
    """Line and reason of every refused row."""
    text = client.get(f"/jobs/{job_id}/failed").data.decode("utf-8", "replace")
    return [row[:2] for row in csv.reader(io.StringIO(text, newline=""))][1:]


def refused(client: FlaskClient, services: Services, name: str, value: str, content: bytes = b"a,b\n1,2\n") -> str:
    """The option is refused by every way in, names the field, and leaves nothing; returns what it says."""
    body = whole(part(name, value.encode("utf-8", "surrogateescape")), part("file", content, "x.csv"))
    said = set()
    for route in ROUTES:
        answer = send(client, body, route)
        assert isinstance(answer.json, dict)
        assert (answer.status_code, answer.json["errorType"]) == (400, f"invalid_{name}"), answer.json
        assert set(answer.json) == {"errorType", "message"}
        said.add(answer.json["message"])
    problem = assert_problem(send(client, body, "/kinds/baselineCSV/jobs"), 400, "invalid-parameter")
    assert problem["parameter"] == name
    assert problem["detail"] in said
    assert names(services.files.directory) == []
    assert client.get("/jobs").get_json()["jobs"] == []
    return str(said.pop())


# delimiter


@pytest.mark.in_one_app
@pytest.mark.parametrize(
    ("given", "character"),
    [
        *[("comma", ","), ("semicolon", ";"), ("tab", "\t"), ("pipe", "|"), ("TAB", "\t")],
        *[("\t", "\t"), (";", ";"), ("|", "|"), ("^", "^"), (":", ":"), (" ", " "), ("~", "~"), ("", ",")],
    ],
)
def test_fields_are_told_apart_by_the_delimiter_that_is_given(
    client: FlaskClient, services: Services, given: str, character: str
) -> None:
    table = [["a", "b"], ["1", "2"], [f"with{character}it", 'quo"te'], ["back\\slash", "x"]]
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=character).writerows(table)
    job_id = upload(client, out.getvalue().encode(), delimiter=given)
    job = done(services, job_id)
    assert (job.done, job.failed) == (3, 0)
    assert [list(row.values()) for row in fields(client, job_id)] == table[1:]
    assert client.get(f"/jobs/{job_id}").get_json()["params"]["delimiter"] == character


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_auto_finds_the_delimiter_in_the_header(client: FlaskClient, services: Services, delimiter: str) -> None:
    others = "".join({",", ";", "\t", "|"} - {delimiter})
    content = f'"x{others}{others}{others}"{delimiter}b{delimiter}c\n1{delimiter}2,,;;||{delimiter}3\n'
    if delimiter in ",;|":
        content = content.replace("2,,;;||", "2")
    job_id = upload(client, content.encode(), delimiter="auto")
    assert done(services, job_id).done == 1
    assert client.get(f"/jobs/{job_id}").get_json()["params"]["delimiter"] == delimiter
    assert len(fields(client, job_id)[0]) == 3


def test_auto_finds_it_behind_a_byte_order_mark_and_for_teams(client: FlaskClient, services: Services) -> None:
    job_id = upload(client, b"\xef\xbb\xbfteam;members\nRed;Ann\n", "/createBulkTeam", delimiter="auto")
    assert done(services, job_id).done == 1
    assert client.get(f"/teams?job={job_id}").get_json()["teams"][0]["members"] == ["Ann"]


def test_a_file_of_one_column_needs_no_delimiter(client: FlaskClient, services: Services) -> None:
    job_id = upload(client, b"team\nx, y\n", delimiter="auto")
    assert done(services, job_id).params["delimiter"] == "\t"


@pytest.mark.in_one_app
@pytest.mark.parametrize("value", ["ab", "a", "7", '"', "\\", "\n", "\r", "é", "none", "\0"])
def test_a_delimiter_that_can_be_none_is_refused(client: FlaskClient, services: Services, value: str) -> None:
    message = refused(client, services, "delimiter", value)
    for allowed in ("auto", "comma", "semicolon", "tab", "pipe", "one ASCII character"):
        assert allowed in message


# encoding


@pytest.mark.in_one_app
@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("latin-1", "é,ÿ\n\x85,\xa0\n"),
        ("cp1252", "“x”,5 €\n"),
        ("shift_jis", "日本,表ソ能\nポ,\\\n"),
        ("gb18030", "中文,\U0001f600\n"),
        ("utf-8", "日本,é\n"),
        ("UTF8", "日本,é\n"),
        ("utf-8-sig", "日本,é\n"),
        ("ascii", "x,y\n"),
    ],
)
@pytest.mark.parametrize("quoted", [False, True], ids=["plain", "quoted"])
def test_text_is_decoded_as_the_encoding_says(
    client: FlaskClient, services: Services, encoding: str, text: str, quoted: bool
) -> None:
    body = "".join(
        ",".join(f'"{field}"' for field in line.split(",")) + "\n" if quoted else f"{line}\n"
        for line in text.removesuffix("\n").split("\n")
    )
    job_id = upload(
        client,
        ("ä,b\n" if encoding == "latin-1" else "a,b\n").encode(encoding)
        + body.encode("utf-8" if encoding == "utf-8-sig" else encoding),
        encoding=encoding,
    )
    done(services, job_id)
    assert [list(row.values()) for row in fields(client, job_id)] == [
        line.split(",") for line in text.removesuffix("\n").split("\n")
    ]


def test_bytes_that_are_none_of_the_encoding_are_refused_and_the_rest_goes_in(
    client: FlaskClient, services: Services
) -> None:
    job_id = upload(client, b"a,b\n1,2\n\x81,3\n4,5\n", encoding="cp1252")
    job = done(services, job_id)
    assert (job.done, job.failed) == (2, 1)
    assert refusals(client, job_id)[0][0] == "3"


@pytest.mark.in_one_app
@pytest.mark.parametrize(
    "value",
    [
        *["utf-16", "UTF-16LE", "utf_32", "utf-7", "iso2022_jp", "hz", "cp037", "idna", "punycode", "unicode_escape"],
        *["rot13", "hex", "undefined", "nonsense", "a\0b", "é", "../x", "x" * 100_000],
    ],
)
def test_an_encoding_that_can_be_none_is_refused(client: FlaskClient, services: Services, value: str) -> None:
    message = refused(client, services, "encoding", value)
    assert "utf-8, latin-1, cp1252, shift_jis" in message


# max_failed


ROWS = [f"2026-01-{day:02},{day}" for day in range(1, 21)]
BROKEN = (3, 7, 8, 15)


def broken(rows: list[str], *places: int) -> bytes:
    lines = [f"x{row}" if number in places else row for number, row in enumerate(rows, 1)]
    return "\n".join(["date,n", *lines, ""]).encode()


@pytest.mark.parametrize(("most", "last"), [(0, 3), (1, 7), (2, 8), (3, 15)])
def test_the_job_fails_at_the_very_row_that_is_one_refused_row_too_many(
    client: FlaskClient, services: Services, most: int, last: int
) -> None:
    job_id = upload(client, broken(ROWS, *BROKEN), max_failed=str(most))
    job = wait_for(services, job_id, State.FAILED)
    assert job.error == f"{most + 1} rows were refused, more than max_failed={most}"
    assert (job.done, job.failed) == (last - most - 1, most + 1)
    good = [str(number) for number in range(1, last) if number not in BROKEN]
    assert [row["n"] for row in fields(client, job_id)] == good
    assert [row[0] for row in refusals(client, job_id)] == [str(number + 1) for number in BROKEN[: most + 1]]
    rest = client.get(f"/jobs/{job_id}/unprocessed").data
    assert rest == b"date,n\n" + b"".join(broken(ROWS, *BROKEN).splitlines(keepends=True)[last + 1 :])


@pytest.mark.parametrize("most", [4, 5])
def test_as_many_refused_rows_as_are_allowed_fail_nothing(client: FlaskClient, services: Services, most: int) -> None:
    job = done(services, upload(client, broken(ROWS, *BROKEN), max_failed=str(most)))
    assert (job.done, job.failed) == (16, 4)


def test_refused_rows_count_across_blocks_and_runs(
    client: FlaskClient, services: Services, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "BATCH_ITEMS", 4000)
    rows = [f"2026-01-01,{number}" for number in range(1, 12001)]
    job_id = upload(client, broken(rows, 10, 5000, 9000, 9001), max_failed="2")
    gate.wait_reached(1)
    assert client.post(f"/jobs/{job_id}/pause?wait=0").status_code == 202
    gate.open(1)
    assert wait_for(services, job_id, State.PAUSED).failed == 1
    gate.open()
    client.post(f"/jobs/{job_id}/resume")
    job = wait_for(services, job_id, State.FAILED)
    assert (job.done, job.failed) == (8997, 3)
    # Asked to go on all the same, it goes on behind that row, to the next that is refused.
    client.post(f"/jobs/{job_id}/resume")
    poll(lambda: services.jobs.get(job_id).failed == 4, 30, "the next refused row")
    job = wait_for(services, job_id, State.FAILED)
    assert (job.done, job.failed) == (8997, 4)


def test_teams_whose_names_exist_count_too(client: FlaskClient, services: Services) -> None:
    rows = "".join(f"Team {number % 50},x\n" for number in range(100))
    job_id = upload(client, f"team,member\n{rows}".encode(), "/createBulkTeam", max_failed="5")
    job = wait_for(services, job_id, State.FAILED)
    assert job.failed > 5
    made = client.get(f"/teams?job={job_id}&limit=1000").get_json()["teams"]
    assert len(made) == job.done
    assert len(refusals(client, job_id)) == job.failed
    rest = client.get(f"/jobs/{job_id}/unprocessed").data.splitlines()[1:]
    assert job.done + job.failed + len(rest) == 100


@pytest.mark.parametrize("value", ["-1", "x", "1.5", "many", "1e9"])
def test_a_max_failed_that_is_no_number_of_rows_is_refused(client: FlaskClient, services: Services, value: str) -> None:
    message = refused(client, services, "max_failed", value)
    assert message in (f"max_failed: {value!r} must be a whole number", f"max_failed: {value!r} must be 0 or more")


# dry_run


def made(services: Services) -> dict[str, int]:
    database = Database(services.settings.url)
    try:
        with database.read() as connection:
            return {
                table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in (records, teams, team_members, dry_run_teams)
            }
    finally:
        database.close()


def outcome(client: FlaskClient, services: Services, job_id: str) -> tuple[Any, ...]:
    job = done(services, job_id)
    return job.done, job.failed, job.position, refusals(client, job_id)


def test_a_dry_run_of_an_import_has_the_numbers_of_the_real_run_and_makes_nothing(
    client: FlaskClient, services: Services
) -> None:
    with (data_dir() / "weather.csv").open("rb") as file:
        lines = list(islice(file, 5000))
    lines[100] = b"x" + lines[100].replace(b",", b"", 1)
    lines[3000:3000] = [b"\n", b"\xff\n", b'"\n']
    lines[4000] = lines[4000].rsplit(b",", 1)[0] + b",no date\n"
    content = b"".join(lines)
    before = made(services)
    dry = outcome(
        client, services, upload(client, content, date_column="time_hour", dry_run="true", max_failed="1000000")
    )
    assert made(services) == before
    assert dry[1] == 4
    assert dry == outcome(client, services, upload(client, content, date_column="time_hour"))


def test_a_dry_run_of_teams_sees_names_that_come_twice_and_names_that_exist(
    client: FlaskClient, services: Services, gate: Gate
) -> None:
    gate.open()
    existing = "".join(f"Old {number},x\n" for number in range(100))
    done(services, upload(client, f"team,member\n{existing}".encode(), "/createBulkTeam"))
    names = [f"New {number}" for number in range(4500)]
    names[10], names[3000], names[4000] = "Old 5", "Old 6", ""
    names += [names[11], names[2500], names[4499], names[4499]]
    content = "team,members\n" + "".join(f"{name},A;B\n" for name in names)
    before = made(services)
    dry = outcome(client, services, upload(client, content.encode(), "/createBulkTeam", dry_run="1"))
    assert made(services) == before, "the names that a dry run has taken are let go of at its end, too"
    assert dry[:2] == (4497, 7)
    assert dry == outcome(client, services, upload(client, content.encode(), "/createBulkTeam", dry_run="false"))


@pytest.mark.parametrize("ending", ["succeeded", "terminated", "rolled back"])
def test_a_dry_run_of_teams_that_was_paused_goes_on_and_leaves_nothing(
    client: FlaskClient, services: Services, gate: Gate, ending: str
) -> None:
    before = made(services)
    content = "team\n" + "".join(f"T{number}\n" for number in range(4000)) + "T5\nT3999\n"
    job_id = upload(client, content.encode(), "/createBulkTeam", dry_run="true")
    gate.wait_reached(1)
    assert client.post(f"/jobs/{job_id}/pause?wait=0").status_code == 202
    gate.open(1)
    paused = wait_for(services, job_id, State.PAUSED)
    assert made(services) == before | {"dry_run_teams": paused.done}
    if ending == "succeeded":
        gate.open()
        client.post(f"/jobs/{job_id}/resume")
        job = done(services, job_id)
        assert (job.done, job.failed) == (4000, 2)
    else:
        answer = client.post(f"/jobs/{job_id}/terminate", json={"rollback": ending == "rolled back"})
        assert answer.get_json()["state"] == "terminated"
    assert made(services) == before


@pytest.mark.parametrize("value", ["maybe", "2", "tru", "\0"])
def test_a_dry_run_that_is_neither_yes_nor_no_is_refused(client: FlaskClient, services: Services, value: str) -> None:
    assert refused(client, services, "dry_run", value) == f"dry_run: {value!r} must be true or false"


# All of them


def test_an_option_that_is_empty_counts_as_not_given(client: FlaskClient, services: Services) -> None:
    names = ("delimiter", "encoding", "max_failed", "dry_run", "date_format", "quotes", "ragged")
    job_id = upload(client, b"a\n1\n", **dict.fromkeys(names, ""))
    done(services, job_id)
    assert client.get(f"/jobs/{job_id}").get_json()["params"] == {
        "delimiter": ",",
        "encoding": "utf-8",
        "quotes": "strict",
        "ragged": "refuse",
        "dry_run": False,
    }


@pytest.mark.parametrize("name", ["delimeter", "Delimiter", "file2", "context"])
def test_an_option_that_there_is_not_is_refused_and_those_that_there_are_are_named(
    client: FlaskClient, services: Services, name: str
) -> None:
    body = whole(part(name, b"x"), part("file", b"a\n", "x.csv"))
    answer = send(client, body)
    assert answer.status_code == 400
    assert isinstance(answer.json, dict)
    assert "it has delimiter, encoding, quotes, max_failed, dry_run, ragged, date_column" in answer.json["message"]
    assert names(services.files.directory) == []


def test_what_an_import_alone_can_do_is_refused_for_teams(client: FlaskClient, services: Services) -> None:
    answer = send(client, whole(part("date_column", b"a"), part("file", b"team\n", "x.csv")), "/createBulkTeam")
    assert (answer.status_code, answer.json) == (
        400,
        {
            "errorType": "invalid_date_column",
            "message": "date_column: bulkTeam has no such parameter; "
            "it has delimiter, encoding, quotes, max_failed, dry_run",
        },
    )


def test_the_options_are_in_the_kind_s_schema(client: FlaskClient) -> None:
    schema = client.get("/kinds/baselineCSV").get_json()["params"]
    imports = {"ragged", "date_column", "date_format"}
    assert set(schema["properties"]) == {"delimiter", "encoding", "quotes", "max_failed", "dry_run"} | imports
    assert all(option["description"] for option in schema["properties"].values())
    assert schema["additionalProperties"] is False
