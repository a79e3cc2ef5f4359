"""POST /uploadCSV and /createBulkTeam: what is accepted, what is refused, and what is left behind."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from jobsvc.files.local.files import LocalFiles
from jobsvc.jobs.states import State
from jobsvc.web.services import Services
from tests.support.gated import Gated
from tests.support.requests import BOUNDARY, CSV, held, part, send, submit_gated, told, upload, whole
from tests.support.stores import BOTH, stored
from tests.support.waiting import wait_for

pytestmark = pytest.mark.stores(*BOTH)

UPLOAD_ROUTES = {"/uploadCSV": "baselineCSV", "/createBulkTeam": "bulkTeam"}
FILE = part("file", CSV, "x.csv")
DEFAULTS = {"delimiter": ",", "encoding": "utf-8", "quotes": "strict", "ragged": "refuse", "dry_run": False}


def files(services: Services) -> list[str]:
    return sorted(stored(services.files))


def assert_refused(
    services: Services, answer: Any, status: int = 400, error: str = "File not accepted", why: str = ""
) -> None:
    """Refused as the original does it, with the reason in words, and neither a job nor a file left behind."""
    assert answer.status_code == status, answer.text
    assert list(answer.json) == ["errorType", "message"]
    assert answer.json["errorType"] == error
    assert answer.json["message"]
    assert why in answer.json["message"]
    assert files(services) == []
    assert services.jobs.page(limit=1).jobs == []


@pytest.mark.parametrize(("route", "kind"), UPLOAD_ROUTES.items())
def test_an_upload_is_answered_with_the_id_of_a_job_of_the_routes_kind(
    client: FlaskClient, services: Services, route: str, kind: str
) -> None:
    answer = send(client, whole(FILE), route)
    assert answer.status_code == 200
    assert answer.content_type == "application/json"
    assert isinstance(answer.json, dict)
    assert list(answer.json) == ["Job ID"]
    job_id = answer.json["Job ID"]
    assert re.fullmatch(rf"Jon-Doe-{kind}-\d{{10}}-\d+", job_id)
    assert services.jobs.get(job_id).kind == kind


def test_an_uploaded_csv_becomes_records(client: FlaskClient, services: Services) -> None:
    job_id = upload(client)
    job = wait_for(services, job_id, State.SUCCEEDED)
    assert (job.done, job.failed) == (2, 0)


def test_the_file_is_stored_byte_for_byte_also_where_it_looks_like_a_boundary(
    client: FlaskClient, services: Services
) -> None:
    nearly = f"\r\n--{BOUNDARY[:-1]}x\r\n--\r\n\r\n-\r\n".encode()
    content = b"a\r\n" + bytes(range(256)) * 4096 + nearly * 20_000 + b"\r\n"
    job_id = upload(client, content)
    assert stored(services.files)[f"{job_id}.input"] == content


@pytest.mark.in_one_app
@pytest.mark.parametrize(
    ("body", "why"),
    [
        pytest.param(whole(part("file", b"", "x.csv")), "the file is empty", id="zero bytes"),
        pytest.param(whole(part("other", b"text")), "there is no file", id="no field `file`"),
        pytest.param(whole(part("File", CSV, "x.csv")), "in the form field 'File'", id="wrong field name"),
        pytest.param(whole(part(None, CSV, "x.csv")), "has no name", id="no field name"),
        pytest.param(whole(part("file", CSV)), "has no file name", id="a text field, without a file name"),
        pytest.param(whole(FILE, FILE), "two files", id="two files"),
        pytest.param(whole(part("delimiter", b";", "d.txt"), FILE), "'delimiter'", id="an option sent as a file"),
        pytest.param(whole(), "there is no file", id="no parts"),
        pytest.param(b"", "breaks off", id="empty body"),
        pytest.param(CSV, "breaks off", id="no boundary in the body"),
        pytest.param(FILE, "breaks off", id="no closing boundary"),
        pytest.param(
            f"--{BOUNDARY}\r\nX: y\r\n\r\n".encode() + CSV + whole(), "Content-Disposition", id="no content disposition"
        ),
        pytest.param(whole(part("file", b"PK\x03\x04xl/", "x.xlsx")), "an Excel workbook (xlsx)", id="xlsx"),
        pytest.param(whole(part("file", b"\n\n", "x.csv")), "there is no header", id="no header"),
    ],
)
def test_a_body_without_a_file_that_can_be_read_is_refused(
    client: FlaskClient, services: Services, body: bytes, why: str
) -> None:
    for route in UPLOAD_ROUTES:
        assert_refused(services, send(client, body, route), why=why)


@pytest.mark.in_one_app
@pytest.mark.parametrize(
    ("content_type", "why"),
    [
        ("multipart/form-data", "names no boundary"),
        ("multipart/form-data; boundary=", "names no boundary"),
        ("multipart/form-data; boundary=ünïcode", "names no boundary"),
        ("multipart/form-data; boundary=another", "breaks off"),
    ],
)
def test_a_form_without_its_stated_boundary_is_refused(
    client: FlaskClient, services: Services, content_type: str, why: str
) -> None:
    assert_refused(services, send(client, whole(FILE), content_type=content_type), why=why)


@pytest.mark.in_one_app
@pytest.mark.parametrize("content_type", ["text/csv", "application/x-www-form-urlencoded", "application/json", ""])
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_any_other_body_is_the_file_itself_and_its_options_are_in_the_query(
    client: FlaskClient, services: Services, content_type: str, method: str
) -> None:
    answer = client.open(
        "/uploadCSV?date_column=day&delimiter=%3B",
        method=method,
        data=b"day;n\n2026-03-04;1\n",
        content_type=content_type,
    )
    assert answer.status_code == 200, answer.text
    job = wait_for(services, answer.get_json()["Job ID"], State.SUCCEEDED)
    assert (job.done, job.filename) == (1, None)
    assert job.params["date_column"] == "day"


@pytest.mark.in_one_app
@pytest.mark.parametrize(
    ("query", "headers", "why"),
    [
        ("?nope=1", {}, "nope"),
        ("?delimiter=,&delimiter=;", {}, "delimiter"),
        ("", {"Content-Encoding": "br"}, "'br'"),
        ("", {"Content-Encoding": "gzip"}, "not gzip"),
        ("", {"Content-Range": "bytes 0-1/2"}, "Content-Range"),
        ("?encoding=latin-1", {"Content-Type": "text/csv; charset=utf-8"}, "'utf-8'"),
        ("", {"Content-Type": "text/csv; charset=klingon"}, "klingon"),
    ],
)
def test_what_a_request_with_a_file_says_is_used_or_refused_by_name(
    client: FlaskClient, services: Services, query: str, headers: dict[str, str], why: str
) -> None:
    answer = client.post(f"/uploadCSV{query}", data=CSV, headers=headers)
    assert answer.status_code == 400
    assert why in answer.get_json()["message"] or why in answer.get_json()["errorType"]
    assert files(services) == []


def test_an_option_given_in_the_query_and_in_the_form_is_refused(client: FlaskClient, services: Services) -> None:
    answer = send(client, whole(part("delimiter", b","), FILE), "/uploadCSV?delimiter=,")
    assert_refused(services, answer, 400, "invalid_delimiter", "twice")


def test_a_charset_that_the_request_declares_is_used(client: FlaskClient, services: Services) -> None:
    answer = client.post(
        "/uploadCSV", data="n,é\n1,ü\n".encode("cp1252"), content_type="text/csv; charset=windows-1252"
    )
    job = wait_for(services, answer.get_json()["Job ID"], State.SUCCEEDED)
    assert job.params["encoding"] == "cp1252"
    (record,) = client.get(f"/records?job={job.id}").get_json()["records"]
    assert record["data"] == {"n": "1", "é": "ü"}


def test_utf_16_is_kept_as_utf_8_and_said_so(client: FlaskClient, services: Services) -> None:
    answer = client.post("/uploadCSV", data="\ufeffn;é\r\n1;ü\r\n".encode("utf-16-le"))
    job = wait_for(services, answer.get_json()["Job ID"], State.SUCCEEDED)
    (record,) = client.get(f"/records?job={job.id}").get_json()["records"]
    assert record["data"] == {"n": "1", "é": "ü"}
    assert job.warnings == ["the file is UTF-16-LE; it is kept as UTF-8", "the delimiter was detected: semicolon"]


def test_a_body_that_ends_early_is_refused_wherever_it_ends(client: FlaskClient, services: Services) -> None:
    body = whole(part("date_column", b"date"), FILE)
    closing = body.rindex(b"--\r\n")
    for end in range(closing):
        assert_refused(services, send(client, body[:end]))


@pytest.mark.in_one_app
@pytest.mark.parametrize(
    "arrived", [whole(FILE), FILE, FILE[:-10], b""], ids=["all", "unclosed", "in the file", "none"]
)
def test_a_body_shorter_than_its_content_length_is_refused(
    client: FlaskClient, services: Services, arrived: bytes
) -> None:
    assert_refused(services, send(client, arrived, length=len(whole(FILE)) + 1000))


class BreaksOff(BytesIO):
    """A connection that is reset behind the bytes that it has."""

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if not data:
            raise ConnectionResetError("reset by peer")
        return data

    def readinto(self, buffer: Any, /) -> int:
        size = super().readinto(buffer)
        if not size:
            raise ConnectionResetError("reset by peer")
        return size


def test_an_upload_whose_connection_is_reset_leaves_nothing_behind(client: FlaskClient, services: Services) -> None:
    assert_refused(services, send(client, BreaksOff(FILE), chunked=True))


LIMIT = 1000


@pytest.fixture
def limited(make_app: Callable[..., Flask]) -> Flask:
    return make_app(max_upload_bytes=LIMIT)


def sized(size: int) -> bytes:
    return b"n\n" + b"1" * (size - 3) + b"\n"


@pytest.mark.in_one_app
@pytest.mark.parametrize("chunked", [False, True], ids=["with Content-Length", "without Content-Length"])
@pytest.mark.parametrize("size", [LIMIT + 1, 2_000_000], ids=["by one byte", "by far"])
def test_a_file_over_the_limit_is_refused_and_leaves_nothing(limited: Flask, size: int, chunked: bool) -> None:
    answer = send(limited.test_client(), whole(part("file", sized(size), "x.csv")), chunked=chunked)
    assert_refused(limited.extensions["jobsvc"], answer, 413, "file_too_large")


@pytest.mark.parametrize("chunked", [False, True], ids=["with Content-Length", "without Content-Length"])
def test_a_file_of_exactly_the_limit_is_accepted(limited: Flask, chunked: bool) -> None:
    answer = send(limited.test_client(), whole(part("file", sized(LIMIT), "x.csv")), chunked=chunked)
    assert answer.status_code == 200
    assert isinstance(answer.json, dict)
    services = limited.extensions["jobsvc"]
    assert len(stored(services.files)[f"{answer.json['Job ID']}.input"]) == LIMIT


def test_a_request_far_too_large_is_refused_before_its_body_is_read(limited: Flask) -> None:
    body = BytesIO(whole(FILE))
    answer = send(limited.test_client(), body, length=10_000_000_000)
    assert_refused(limited.extensions["jobsvc"], answer, 413, "file_too_large")
    assert body.tell() == 0


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(whole(FILE, part("date_column", b"x" * 600_000)), id="a long form field"),
        pytest.param(whole(FILE, *[part(f"f{i}", b"x") for i in range(200)]), id="many form fields"),
    ],
)
def test_form_fields_beyond_measure_are_refused_and_the_file_before_them_is_removed(
    client: FlaskClient, services: Services, body: bytes
) -> None:
    assert_refused(services, send(client, body), why="more than")


@pytest.mark.parametrize(
    "name",
    [
        "../../x",
        "..\\..\\x",
        "/etc/passwd",
        "C:\\x.csv",
        "a\0b.csv",
        "..",
        "x" * 5000,
        "naïve \N{PILE OF POO}.csv",
        "<script>.csv",
        ".input",
    ],
)
def test_what_the_client_calls_its_file_is_noted_but_names_no_file(
    client: FlaskClient, services: Services, tmp_path: Path, name: str
) -> None:
    answer = send(client, whole(part("file", CSV, name.replace("\\", "\\\\"))))
    assert answer.status_code == 200
    assert isinstance(answer.json, dict)
    job_id = answer.json["Job ID"]
    assert files(services) == [f"{job_id}.input"]
    if not isinstance(services.files, LocalFiles):
        return
    holders = [path for path in tmp_path.rglob("*") if path.is_file() and path.read_bytes() == CSV]
    assert holders == [services.files.input(job_id)]
    job = client.get(f"/jobs/{job_id}").json
    assert isinstance(job, dict)
    assert job["filename"] == name
    assert "filename" not in job["params"]


def test_an_absolute_file_name_is_not_written_to(client: FlaskClient, tmp_path: Path) -> None:
    target = tmp_path / "target.csv"
    assert send(client, whole(part("file", CSV, str(target)))).status_code == 200
    assert not target.exists()


def test_a_file_name_that_is_no_utf8_is_no_failure_of_the_service_and_leaves_no_stray_file(
    client: FlaskClient, services: Services
) -> None:
    answer = send(client, whole(part("file", CSV, b"caf\xe9.csv")))
    assert answer.status_code in (200, 400)
    assert len(files(services)) == (1 if answer.status_code == 200 else 0)


@pytest.mark.parametrize("before", [True, False], ids=["before the file", "after the file"])
def test_a_form_field_beside_the_file_becomes_a_parameter(
    client: FlaskClient, services: Services, before: bool
) -> None:
    field = part("date_column", b"day")
    file = part("file", b"date,day\nno date,2026-03-04\n", "x.csv")
    answer = send(client, whole(field, file) if before else whole(file, field))
    assert isinstance(answer.json, dict)
    job_id = answer.json["Job ID"]
    assert services.jobs.get(job_id).params == DEFAULTS | {"date_column": "day"}
    wait_for(services, job_id, State.SUCCEEDED)
    page = client.get(f"/records?job={job_id}").json
    assert isinstance(page, dict)
    assert [record["date"] for record in page["records"]] == ["2026-03-04"]


def test_form_fields_that_are_no_options_do_not_reach_the_job(client: FlaskClient, services: Services) -> None:
    for name, text in {"filename": "forged", "state": "succeeded", "user": "ann", "attempt": "7", "key": "1"}.items():
        answer = send(client, whole(part(name, text.encode()), FILE))
        message = "baselineCSV has no such parameter; it has delimiter, encoding, quotes, max_failed, dry_run, ragged"
        assert_refused(services, answer, 400, f"invalid_{name}", message)
    job = services.jobs.get(upload(client))
    assert job.params == DEFAULTS
    assert (job.user, job.filename) == ("Jon-Doe", "x.csv")


def test_two_thousand_ids_made_at_once_are_different(services: Services) -> None:
    assert len({services.jobs.new_id("Jon-Doe", "baselineCSV") for _ in range(2000)}) == 2000


def test_uploads_at_the_same_time_get_jobs_and_files_of_their_own(
    client: FlaskClient, services: Services, gated: Gated
) -> None:
    contents = [f"n\n{number}\n".encode() for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda content: upload(client.application.test_client(), content), contents))
    assert len(set(ids)) == len(contents)
    assert [stored(services.files)[f"{job_id}.input"] for job_id in ids] == contents


@pytest.mark.parametrize("route", UPLOAD_ROUTES)
def test_an_upload_beyond_the_queue_is_told_when_to_try_again_and_its_file_is_removed(
    make_app: Callable[..., Flask], gated: Gated, route: str
) -> None:
    app = make_app(max_running=1, max_queued=1)
    services = app.extensions["jobsvc"]
    running = held(services, gated)
    waiting = submit_gated(services)
    answer = send(app.test_client(), whole(FILE), route)
    assert told(answer) == (503, "queue_full")
    assert int(answer.headers["Retry-After"]) > 0
    assert files(services) == []

    gated.gate.open()
    wait_for(services, running, State.SUCCEEDED)
    wait_for(services, waiting, State.SUCCEEDED)
    assert send(app.test_client(), whole(FILE), route).status_code == 200
