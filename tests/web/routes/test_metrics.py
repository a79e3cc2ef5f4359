"""What /metrics tells of an application in this process. Instruments are the process's: tests look at what changes."""

from __future__ import annotations

import gzip
import io
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from time import monotonic
from typing import TYPE_CHECKING

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient

from jobsvc.jobs.states import State
from jobsvc.service.monitoring import figures
from jobsvc.store.database import Database
from jobsvc.web.services import Services
from tests.support.gated import Gated
from tests.support.many_jobs import add_jobs
from tests.support.requests import BOUNDARY, held, part, submit_gated, upload, whole
from tests.support.scraped import Scraped
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

REFUSING = b"date,n\n2026-01-01,1\nno date,2\n\n2026-01-04,4\n"

KINDS = ["baselineCSV", "bulkTeam", "createExport", "gated"]


def scraped(client: FlaskClient) -> Scraped:
    # On a slow machine, figures that are some seconds old would do.
    client.application.extensions["jobsvc"].measured.figures._latest = None
    answer = client.get("/metrics")
    assert answer.status_code == 200, answer.text
    return Scraped(answer.text)


def database(services: Services) -> Database:
    return services.measured.figures._database


@contextmanager
def away(services: Services) -> Iterator[None]:
    """Nobody can read the jobs: on SQLite its log is being given back, on PostgreSQL somebody changes the table."""
    found = database(services)
    if found.backend.has_queue:
        url = found._url.replace("postgresql+psycopg", "postgresql")
        with psycopg.connect(url) as other:
            other.execute("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE")
            yield
            other.rollback()
    else:
        with found.backend._gate.shut(10) as alone:  # type: ignore[attr-defined]
            assert alone
            yield


# The answer.


def test_it_is_text_in_prometheus_s_format_that_nobody_keeps(client: FlaskClient) -> None:
    answer = client.get("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    assert Scraped(answer.text).get("jobsvc_database_up") == 1


def test_it_is_packed_for_those_who_ask_so(client: FlaskClient) -> None:
    plain, packed = client.get("/metrics"), client.get("/metrics", headers={"Accept-Encoding": "gzip;q=1.0, identity"})
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert len(packed.data) < len(plain.data) / 3
    assert Scraped(gzip.decompress(packed.data).decode()).names() >= Scraped(plain.text).names()
    refused = client.get("/metrics", headers={"Accept-Encoding": "gzip;q=0"})
    assert "Content-Encoding" not in refused.headers


def test_a_parameter_is_refused(client: FlaskClient) -> None:
    assert client.get("/metrics?name=jobsvc_jobs").status_code == 400


def test_it_says_which_service_it_is(client: FlaskClient) -> None:
    found = scraped(client)
    (about,) = found.labels("jobsvc_build_info")
    assert (about["engine"], about["database"]) == ("threads", "sqlite")
    assert found.get("jobsvc_database_size_bytes") > 10_000
    assert found.get("jobsvc_database_log_size_bytes") >= 0
    assert found.get("jobsvc_disk_free_bytes", holds="database") > 0
    assert found.get("jobsvc_disk_free_bytes", holds="files") > 0


# Requests.


def test_requests_count_by_the_route_that_took_them(client: FlaskClient, services: Services, gated: Gated) -> None:
    gated.gate.open()
    job_id = submit_gated(services)
    labels = {"route": "/jobs/<job_id>", "method": "GET"}
    before = scraped(client)
    assert client.get(f"/jobs/{job_id}").status_code == 200
    assert client.get(f"/jobs/{job_id}").status_code == 200
    assert client.get("/jobs/Nobody-gated-1-1").status_code == 404
    after = scraped(client)
    grown = {
        status: after.count("jobsvc_http_requests_total", **labels, status=status)
        - before.count("jobsvc_http_requests_total", **labels, status=status)
        for status in ("200", "404")
    }
    assert grown == {"200": 2, "404": 1}
    timed = "jobsvc_http_request_duration_seconds_count"
    assert after.get(timed, route=labels["route"]) - before.count(timed, route=labels["route"]) == 3


def test_what_no_route_took_is_one_route_whatever_was_asked(client: FlaskClient, app: Flask) -> None:
    for number in range(20):
        client.get(f"/nowhere/{number}")
        client.open(f"/jobs/{number}/pause", method=f"VERB{number}")
    known = {rule.rule for rule in app.url_map.iter_rules()}
    labels = scraped(client).labels("jobsvc_http_requests_total")
    assert {each["route"] for each in labels} <= known | {"(unknown)"}
    assert {each["method"] for each in labels} <= {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "other"}
    assert {"route": "(unknown)", "method": "other", "status": "405"} in labels


class Asking(io.BytesIO):
    """A body of a request, during which somebody asks for /metrics."""

    def __init__(self, body: bytes, ask: Callable[[], Scraped]) -> None:
        super().__init__(body)
        self._ask = ask
        self.seen: Scraped | None = None

    def read(self, size: int | None = -1, /) -> bytes:
        self._look()
        return super().read(size)

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        self._look()
        return super().readinto(buffer)

    def _look(self) -> None:
        if self.seen is None and self.tell() > 0:
            self.seen = self._ask()


def test_uploads_count_while_they_arrive_and_by_their_bytes(app: Flask, client: FlaskClient) -> None:
    before = scraped(client)
    content = b"date,n\n" + b"2026-01-01,1\n" * 200_000
    body = Asking(whole(part("file", content, "x.csv")), lambda: scraped(app.test_client()))
    answer = client.post("/uploadCSV", input_stream=body, content_type=f"multipart/form-data; boundary={BOUNDARY}")
    assert answer.status_code == 200, answer.text
    assert body.seen is not None
    after = scraped(client)
    name = "jobsvc_uploads_in_progress"
    assert [each.get(name) - before.get(name) for each in (body.seen, after)] == [1, 0]
    assert after.get("jobsvc_uploaded_bytes_total") - before.get("jobsvc_uploaded_bytes_total") == len(content)


def test_an_upload_that_was_refused_is_over(client: FlaskClient) -> None:
    before = scraped(client)
    assert client.post("/uploadCSV", data={"file": (io.BytesIO(b"PK\x03\x04"), "x.xlsx")}).status_code == 400
    assert scraped(client).get("jobsvc_uploads_in_progress") == before.get("jobsvc_uploads_in_progress")


def test_downloads_count_until_they_are_over(client: FlaskClient, services: Services) -> None:
    job_id = upload(client, REFUSING)
    wait_for(services, job_id, State.SUCCEEDED)
    before = scraped(client).get("jobsvc_downloads_in_progress")
    answer = client.get(f"/jobs/{job_id}/failed", buffered=False)
    assert scraped(client).get("jobsvc_downloads_in_progress") - before == 1
    answer.close()
    assert scraped(client).get("jobsvc_downloads_in_progress") == before


# Jobs and items.


@pytest.mark.both_databases
def test_jobs_count_by_kind_and_state_and_items_by_what_became_of_them(client: FlaskClient, services: Services) -> None:
    job_id = upload(client, REFUSING)
    wait_for(services, job_id, State.SUCCEEDED)
    found = scraped(client)
    assert found.get("jobsvc_jobs", kind="baselineCSV", state="succeeded") == 1
    assert len(found.labels("jobsvc_jobs")) == len(KINDS) * len(State)
    assert found.items("baselineCSV") == {"done": 2, "refused": 1, "blank": 1, "rolled_back": 0}
    assert found.items("bulkTeam") == {"done": 0, "refused": 0, "blank": 0, "rolled_back": 0}


@pytest.mark.both_databases
def test_what_a_forgotten_job_has_done_stays_counted(client: FlaskClient, services: Services) -> None:
    job_id = upload(client, REFUSING)
    wait_for(services, job_id, State.SUCCEEDED)
    before = scraped(client).items("baselineCSV")
    assert client.delete(f"/jobs/{job_id}").status_code == 204
    services.pruner._retention.remove_rows()
    after = scraped(client)
    assert after.get("jobsvc_jobs", kind="baselineCSV", state="succeeded") == 0
    assert after.items("baselineCSV") == before == {"done": 2, "refused": 1, "blank": 1, "rolled_back": 0}


@pytest.mark.both_databases
def test_a_rollback_counts_by_itself_and_takes_nothing_from_what_was_done(
    client: FlaskClient, services: Services
) -> None:
    for forget in (False, True):
        job_id = upload(client, REFUSING)
        wait_for(services, job_id, State.SUCCEEDED)
        assert client.post(f"/jobs/{job_id}/rollback?wait=20").status_code == 200
        if forget:
            assert client.delete(f"/jobs/{job_id}").status_code == 204
    assert scraped(client).items("baselineCSV") == {"done": 4, "refused": 2, "blank": 2, "rolled_back": 4}


def test_a_commit_is_timed_once_a_batch_however_many_items_it_has(client: FlaskClient, services: Services) -> None:
    name, labels = "jobsvc_commit_duration_seconds_count", {"kind": "baselineCSV"}
    before = scraped(client).count(name, **labels)
    wait_for(services, upload(client, b"date,n\n" + b"2026-01-01,1\n" * 1000), State.SUCCEEDED)
    assert scraped(client).count(name, **labels) - before == 1


def test_jobs_whose_kind_has_gone_are_one_kind(client: FlaskClient, services: Services) -> None:
    for kind in ("wasHere", "wasHereToo"):
        add_jobs(database(services), 3, "failed", kind, user=kind)
    found = scraped(client)
    assert {each["kind"] for each in found.labels("jobsvc_jobs")} == {*KINDS, "(unregistered)"}
    assert found.get("jobsvc_jobs", kind="(unregistered)", state="failed") == 6
    assert found.items("(unregistered)") == {"done": 0, "refused": 0, "blank": 0, "rolled_back": 0}


@pytest.mark.both_databases
def test_slots_queue_and_ages(make_app: Callable[..., Flask], gated: Gated) -> None:
    app = make_app(max_running=2)
    client, services = app.test_client(), app.extensions["jobsvc"]
    add_jobs(database(services), 3, "paused")
    first = held(services, gated)
    gated.gate.wait_reached(1)
    submit_gated(services)
    gated.gate.wait_reached(2)
    submit_gated(services)
    found = scraped(client)
    assert (found.get("jobsvc_slots", state="used"), found.get("jobsvc_slots", state="free")) == (2, 0)
    assert found.get("jobsvc_queue_length") == 1
    assert 0 <= found.get("jobsvc_queue_oldest_age_seconds") < 60
    # Those were put there without a history.
    assert found.get("jobsvc_paused_oldest_age_seconds") == 0
    assert found.get("jobsvc_webhooks_waiting") == 0
    client.post(f"/jobs/{first}/pause?wait=0")
    gated.gate.open(1)
    wait_for(services, first, State.PAUSED)
    later = scraped(client)
    assert 0 <= later.get("jobsvc_paused_oldest_age_seconds") < 60


# When the database does not answer.


@pytest.mark.both_databases
def test_while_the_database_does_not_answer_it_tells_what_it_knows_without(
    client: FlaskClient, services: Services
) -> None:
    assert scraped(client).get("jobsvc_database_up") == 1
    with away(services):
        begun = monotonic()
        found = scraped(client)
        assert monotonic() - begun < figures.WAIT_SECONDS + 2
    assert found.get("jobsvc_database_up") == 0
    assert found.get("jobsvc_slots", state="free") == 8
    assert found.labels("jobsvc_http_requests_total")
    assert found.labels("jobsvc_jobs") == found.labels("jobsvc_items_done_total") == []
    assert scraped(client).get("jobsvc_database_up") == 1


def test_a_broken_database_is_no_error_either(client: FlaskClient, services: Services) -> None:
    path = database(services)._url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as other:
        other.execute("ALTER TABLE webhooks RENAME TO elsewhere")
    assert scraped(client).get("jobsvc_database_up") == 0
    with closing(sqlite3.connect(path)) as other:
        other.execute("ALTER TABLE elsewhere RENAME TO webhooks")
