"""An answer that the contract lacks fails the test that sees it, whatever it lacks."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from jobsvc.web.access import public
from jobsvc.web.openapi.answers import answers
from jobsvc.web.openapi.document import document
from tests.support.contract import Contract, Seen, check_served

ALIVE = b'{"status": "ok", "version": "0.1.0"}'
PROBLEM = b'{"type": "urn:jobsvc:%s", "title": "t", "status": 404}'


@pytest.fixture(scope="module")
def contract(shared_client: FlaskClient) -> Contract:
    app = shared_client.application
    return Contract(document(app, app.extensions["jobsvc"].kinds))


def answer(status: int, content_type: str, body: bytes, path: str) -> Seen:
    return Seen("GET", path, status, content_type, body)


def test_an_answer_as_the_contract_has_it_passes(contract: Contract) -> None:
    contract.check("/healthz", "GET", answer(200, "application/json", ALIVE, "/healthz"))
    found = answer(404, "application/problem+json", PROBLEM % b"unknown-job", "/jobs/x")
    contract.check("/jobs/{job_id}", "GET", found)


@pytest.mark.parametrize(
    ("status", "content_type", "body", "why"),
    [
        (201, "application/json", ALIVE, "this status is not in the contract"),
        (500, "application/problem+json", PROBLEM % b"x", "this status is not in the contract"),
        (200, "text/html", ALIVE, "this content type is not in the contract"),
        (200, "application/json", b'{"status": "ok", "more": 1}', "the body is not as the contract has it"),
        (200, "application/json", b"{}", "the body is not as the contract has it"),
        (200, "application/json", b'{"status": 1}', "the body is not as the contract has it"),
        (403, "application/problem+json", PROBLEM % b"unheard-of", "unheard-of is not in the contract"),
    ],
)
def test_an_answer_that_the_contract_lacks_is_found(
    contract: Contract, status: int, content_type: str, body: bytes, why: str
) -> None:
    with pytest.raises(AssertionError, match=why):
        contract.check("/healthz", "GET", answer(status, content_type, body, "/healthz"))


def test_the_client_of_the_tests_checks_what_it_gets(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    @public
    @answers("Alive")
    def more() -> dict[str, Any]:
        return {"status": "ok", "more": 1}

    monkeypatch.setitem(client.application.view_functions, "health.healthz", more)
    with pytest.raises(
        AssertionError, match=r"GET /healthz: 200 application/json .*the body is not as the contract has it"
    ):
        client.get("/healthz")


def test_what_real_servers_answer_is_checked_too() -> None:
    url = "http://127.0.0.1:8081/healthz?x=1"
    check_served("GET", url, 200, "application/json", ALIVE)
    with pytest.raises(AssertionError, match="this status is not in the contract"):
        check_served("GET", url, 500, "text/plain", b"")
