"""Requests that the contract allows, made up from it: none is answered by a 5xx, nor by what the contract lacks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import cycle
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from werkzeug.wsgi import ClosingIterator

from jobsvc.process.app import create_app
from jobsvc.settings import Settings
from tests.conftest import WholeAnswers
from tests.support.requests import upload

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

EXAMPLES = 8
"""For each operation."""

ALL_HEALTH = list(HealthCheck)

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """An application with some jobs."""
    app = create_app(Settings(data_dir=tmp_path_factory.mktemp("any") / "data", min_free_bytes=0), own_process=False)
    app.test_client_class = WholeAnswers
    yield app
    app.extensions["jobsvc"].close()


@pytest.fixture(scope="module")
def contract(served: Flask) -> Any:
    def whole(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        """As a server does: reads every answer, and closes it."""
        with closing(ClosingIterator(served.wsgi_app(environ, start_response))) as pieces:
            return list(pieces)

    return schemathesis.openapi.from_wsgi("/openapi.json", whole)


@pytest.fixture(scope="module")
def some_jobs(served: Flask) -> Iterator[str]:
    """The ids of jobs, for requests that need one; and of one that is not there."""
    client = served.test_client()
    made = [upload(client), upload(client, b"team,m\na,b\n", "/createBulkTeam"), upload(client, dry_run="true")]
    days = {"from": "2026-01-01", "to": "2026-01-02"}
    made += [client.post("/exportData", json=days).get_json()["Job ID"], "no-such-job"]
    return cycle(made)


def test_what_is_asked_as_the_contract_has_it_is_answered_as_the_contract_has_it(
    contract: Any, some_jobs: Iterator[str]
) -> None:
    wrong = []
    for found in contract.get_all_operations():
        operation = found.ok()
        try:
            ask(operation.as_strategy(), some_jobs)
        except (FailureGroup, Failure) as failure:
            wrong.append(f"{operation.label}: {failure}")
    assert wrong == []


def ask(cases: SearchStrategy[schemathesis.Case], some_jobs: Iterator[str]) -> None:
    @given(case=cases)
    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=ALL_HEALTH)
    def asked(case: schemathesis.Case) -> None:
        # Made-up ids are of no job.
        if "job_id" in case.path_parameters:
            case.path_parameters["job_id"] = next(some_jobs)
        if "id" in case.query:
            case.query["id"] = next(some_jobs)
        if "unless" in case.query:
            # What it would wait for does not come.
            case.query["wait"] = 0.1
        case.call_and_validate(checks=CHECKS)

    asked()
