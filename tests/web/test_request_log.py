"""One line for each request, and its id on all that it causes."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextvars import copy_context
from typing import Any

import pytest
from flask.testing import FlaskClient

from jobsvc.jobs.states import State
from jobsvc.kinds import Item, RowKind
from jobsvc.logs import about
from jobsvc.web.request_log import SENT, RequestLog
from jobsvc.web.services import Services
from tests.support.gated import Gated
from tests.support.waiting import wait_for

NAME = "jobsvc.web.request_log"


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.DEBUG, NAME):
        yield caplog


def of_requests(lines: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [vars(line) for line in lines.records if line.name == NAME]


def test_a_request_has_one_line_with_its_route_its_answer_and_no_query(
    client: FlaskClient, lines: pytest.LogCaptureFixture
) -> None:
    answer = client.get("/jobs?kind=a-secret")
    (line,) = of_requests(lines)
    assert (line["method"], line["path"], line["route"], line["status"]) == ("GET", "/jobs", "/jobs", 200)
    assert line["bytes"] == len(answer.data)
    assert 0 <= line["seconds"] < 60
    assert "a-secret" not in str(line)


def test_what_machines_ask_all_the_time_is_for_debugging_unless_it_fails(
    client: FlaskClient, lines: pytest.LogCaptureFixture
) -> None:
    client.get("/healthz")
    client.get("/readyz")
    client.get("/healthz?x=1")
    client.get("/nothing")
    found = [(line["levelname"], line["route"], line["status"]) for line in of_requests(lines)]
    debug = [("DEBUG", "/healthz", 200), ("DEBUG", "/readyz", 200)]
    assert found == [*debug, ("INFO", "/healthz", 400), ("INFO", None, 404)]


def test_the_id_that_a_client_gives_is_kept_and_in_the_answer(client: FlaskClient) -> None:
    assert client.get("/jobs", headers={"X-Request-ID": "front-1/7"}).headers["X-Request-ID"] == "front-1/7"


@pytest.mark.parametrize("odd", ["", "a b", "x" * 129, "caf\xe9", "a\tb", '\x7f"'])
def test_an_id_that_is_not_well_formed_is_replaced(client: FlaskClient, odd: str) -> None:
    one, two = (client.get("/nothing", headers={"X-Request-ID": odd}).headers["X-Request-ID"] for _ in range(2))
    assert len(one) == len(two) == 32
    assert one != two


def test_a_job_and_its_history_have_the_id_of_the_request(client: FlaskClient, services: Services) -> None:
    days = {"from": "2026-01-01", "to": "2026-01-02"}
    answer = client.post("/exportData", json=days, headers={"X-Request-ID": "r-1"})
    job = wait_for(services, answer.get_json()["Job ID"], State.SUCCEEDED)
    assert job.request_id == "r-1"
    events = client.get(f"/jobs/{job.id}/events").get_json()["events"]
    assert {event["request_id"] for event in events if event["who"] == "run"} == {"r-1"}
    assert events[0]["request_id"] == "r-1"


def test_what_is_asked_of_a_job_has_the_id_of_the_request_that_asked(client: FlaskClient, gated: Gated) -> None:
    job_id = client.post("/kinds/gated/jobs", json={}).get_json()["id"]
    client.post(f"/jobs/{job_id}/terminate?wait=0", headers={"X-Request-ID": "r-2"})
    events = client.get(f"/jobs/{job_id}/events").get_json()["events"]
    assert [event["request_id"] for event in events if event["to"] == "terminating"] == ["r-2"]


class Notes(RowKind):
    """Notes what the lines of its threads are about."""

    name = "notes"
    concurrency = 3

    def __init__(self) -> None:
        self.found: list[dict[str, object]] = []

    def process(self, row: Any, item: Item) -> None:
        self.found.append(dict(about.current()))


def test_the_lines_of_a_run_and_of_its_threads_are_about_its_job(make_app: Any) -> None:
    kind = Notes()
    app = make_app([kind])
    client = app.test_client()
    rows = b"name\nAnn\nBob\nCleo\n"
    job = client.post("/kinds/notes/jobs", data=rows, headers={"X-Request-ID": "r-9"}).get_json()
    wait_for(app.extensions["jobsvc"], job["id"], State.SUCCEEDED)
    wanted = {"job": job["id"], "attempt": 1, "user": "Jon-Doe", "request_id": "r-9"}
    assert kind.found == [wanted] * 3


def answers(pieces: Iterable[bytes], tell: tuple[int, int, bool] | None = None) -> Any:
    """A WSGI application; `tell` is what the server says that it has sent."""

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        if tell is not None:
            environ[SENT](*tell)
        return pieces

    return app


def served(app: Any) -> list[bytes]:
    """What a server sends of the answer, on a thread that it keeps clean."""
    return copy_context().run(_served, app)


def _served(app: Any) -> list[bytes]:
    answer = RequestLog(app)({"REQUEST_METHOD": "GET", "PATH_INFO": "/x\n"}, lambda *_: lambda _: None)
    try:
        return list(answer)
    finally:
        answer.close()  # type: ignore[attr-defined]


def test_a_streamed_answer_has_its_line_when_it_was_sent(lines: pytest.LogCaptureFixture) -> None:
    before: list[int] = []

    def pieces() -> Iterator[bytes]:
        yield b"abc"
        before.append(len(of_requests(lines)))
        yield b"de"

    assert served(answers(pieces())) == [b"abc", b"de"]
    assert (before, of_requests(lines)[0]["bytes"]) == ([0], 5)


def test_an_answer_that_broke_off_says_so_with_what_the_server_has_sent(lines: pytest.LogCaptureFixture) -> None:
    served(answers([b"abcde"], (200, 3, False)))
    (line,) = of_requests(lines)
    assert (line["bytes"], line["broken_off"]) == (3, True)


def test_an_application_that_breaks_has_its_line_and_leaves_the_thread_clean(lines: pytest.LogCaptureFixture) -> None:
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        raise RuntimeError

    before = about.current()
    with pytest.raises(RuntimeError):
        _served(app)
    assert about.current() is before
    assert (of_requests(lines)[0]["status"], of_requests(lines)[0]["levelname"]) == (500, "WARNING")
