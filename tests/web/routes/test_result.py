"""GET /jobs/<id>/result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from jobsvc.jobs.states import State
from jobsvc.web.services import Services
from tests.support.gated import Gated
from tests.support.requests import CSV, assert_problem, held, upload
from tests.support.stores import BOTH
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.both_databases, pytest.mark.stores(*BOTH)]


def export(client: FlaskClient, **body: Any) -> str:
    answer = client.post("/exportData", json={"from": "2026-01-01", "to": "2026-01-02"} | body)
    assert isinstance(answer.json, dict)
    job_id: str = answer.json["Job ID"]
    return job_id


@pytest.fixture
def exported(client: FlaskClient, services: Services) -> tuple[str, bytes]:
    """The path of an export's result, and what must be in it."""
    source = upload(client, CSV)
    wait_for(services, source, State.SUCCEEDED)
    job_id = export(client)
    wait_for(services, job_id, State.SUCCEEDED)
    rows = [
        "_job_id,_row,_date,date,n",
        f"{source},1,2026-01-01,2026-01-01,1",
        f"{source},2,2026-01-02,2026-01-02,2",
    ]
    return f"/jobs/{job_id}/result", "".join(f"{row}\n" for row in rows).encode()


def test_an_export_is_downloaded_as_a_csv_file_both_days_included(
    client: FlaskClient, exported: tuple[str, bytes]
) -> None:
    path, content = exported
    answer = client.get(path)
    assert (answer.status_code, answer.data) == (200, content)
    assert answer.mimetype == "text/csv"
    assert answer.headers["Content-Disposition"] == f"attachment; filename={path.split('/')[2]}.csv"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.content_length == len(content)


def test_head_tells_the_size_without_the_content(client: FlaskClient, exported: tuple[str, bytes]) -> None:
    path, content = exported
    answer = client.head(path)
    assert (answer.status_code, answer.data, answer.content_length) == (200, b"", len(content))


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("0-9", slice(0, 10)),
        ("10-19", slice(10, 20)),
        ("10-", slice(10, None)),
        ("-10", slice(-10, None)),
        ("0-999999", slice(0, None)),
    ],
)
def test_a_range_is_answered_with_that_part(
    client: FlaskClient, exported: tuple[str, bytes], asked: str, part: slice
) -> None:
    path, content = exported
    answer = client.get(path, headers={"Range": f"bytes={asked}"})
    assert (answer.status_code, answer.data) == (206, content[part])
    start, stop, _ = part.indices(len(content))
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(content)}"


def test_a_broken_download_can_go_on_only_in_the_same_file(client: FlaskClient, exported: tuple[str, bytes]) -> None:
    path, content = exported
    etag = client.get(path).headers["ETag"]
    same = client.get(path, headers={"Range": "bytes=10-", "If-Range": etag})
    assert (same.status_code, same.data) == (206, content[10:])
    other = client.get(path, headers={"Range": "bytes=10-", "If-Range": '"other"'})
    assert (other.status_code, other.data) == (200, content)


def test_a_range_beyond_the_end_can_not_be_satisfied(client: FlaskClient, exported: tuple[str, bytes]) -> None:
    path, content = exported
    answer = client.get(path, headers={"Range": f"bytes={len(content)}-"})
    assert_problem(answer, 416)
    assert answer.headers["Content-Range"] == f"bytes */{len(content)}"


def test_a_client_that_has_the_file_is_not_sent_it_again(client: FlaskClient, exported: tuple[str, bytes]) -> None:
    path, _ = exported
    answer = client.get(path, headers={"If-None-Match": client.get(path).headers["ETag"]})
    assert (answer.status_code, answer.data) == (304, b"")


def test_before_the_export_has_succeeded_there_is_no_download(make_app: Callable[..., Flask], gated: Gated) -> None:
    app = make_app(max_running=1)
    held(app.extensions["jobsvc"], gated)
    client = app.test_client()
    job_id = export(client)
    found = assert_problem(client.get(f"/jobs/{job_id}/result"), 409, "not-allowed-now")
    assert found["state"] == "queued"
    client.post(f"/jobs/{job_id}/terminate")
    found = assert_problem(client.get(f"/jobs/{job_id}/result"), 409, "not-allowed-now")
    assert found["state"] == "terminated"


def test_a_job_that_makes_no_file_has_no_result(client: FlaskClient, services: Services) -> None:
    job_id = upload(client)
    wait_for(services, job_id, State.SUCCEEDED)
    assert_problem(client.get(f"/jobs/{job_id}/result"), 404, "no-result")
