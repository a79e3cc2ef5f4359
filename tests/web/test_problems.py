"""Errors that no single route owns."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from jobsvc.web.services import Services
from tests.support.requests import CSV, assert_problem, part, send, upload, whole
from tests.support.stores import names


@pytest.mark.parametrize("path", ["/nothing", "/jobs/", "/jobs/x/nothing", "/jobs/a/b/c", "/static/x", "/%00"])
def test_a_path_that_is_not_there_is_a_problem_document(shared_client: FlaskClient, path: str) -> None:
    assert assert_problem(shared_client.get(path), 404)["title"] == "Not Found"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/uploadCSV", {"POST", "PUT", "OPTIONS"}),
        ("GET", "/createBulkTeam", {"POST", "PUT", "OPTIONS"}),
        ("GET", "/exportData", {"POST", "OPTIONS"}),
        ("PUT", "/updateTask", {"GET", "HEAD", "POST", "OPTIONS"}),
        ("POST", "/jobs", {"GET", "HEAD", "OPTIONS"}),
        ("GET", "/jobs/x/pause", {"POST", "OPTIONS"}),
        ("GET", "/jobs/x/resume", {"POST", "OPTIONS"}),
        ("GET", "/jobs/x/terminate", {"POST", "OPTIONS"}),
        ("POST", "/jobs/x/events", {"GET", "HEAD", "OPTIONS"}),
        ("POST", "/records", {"GET", "HEAD", "OPTIONS"}),
        ("POST", "/teams", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_a_method_that_a_path_does_not_know_is_told_which_it_does(
    shared_client: FlaskClient, method: str, path: str, allowed: set[str]
) -> None:
    answer = shared_client.open(path, method=method)
    assert_problem(answer, 405)
    assert set(answer.headers["Allow"].split(", ")) == allowed


def test_a_failure_of_the_service_is_a_problem_document_that_tells_nothing_of_its_inside(
    client: FlaskClient, tmp_path: Path
) -> None:
    with sqlite3.connect(tmp_path / "data" / "jobsvc.db") as database:
        database.execute("DROP TABLE team_members")
    # The contract has no such answer.
    client.application.test_client_class = FlaskClient
    answer = client.application.test_client().get("/teams", buffered=True)
    assert_problem(answer, 500)
    assert "team_members" not in answer.text
    assert "Traceback" not in answer.text


def test_what_a_process_that_is_ending_can_not_write_any_more_is_told_when_to_ask_again(
    client: FlaskClient, services: Services
) -> None:
    there = upload(client)
    services.close()
    for path in ("/jobs/%s/pause", "/jobs/%s/terminate", "/updateTask?action=stop&id=%s"):
        answer = client.post(path % there)
        assert_problem(answer, 503, "ending")
        assert int(answer.headers["Retry-After"]) > 0
    body = whole(part("file", CSV, "x.csv"))
    assert_problem(send(client, body), 503, "ending")
    assert names(services.files.directory) == [f"{there}.input"]
    assert len(client.get("/jobs").get_json()["jobs"]) == 1, "what is there can still be read"


def test_answers_are_one_line_of_json_that_keeps_its_order(shared_client: FlaskClient) -> None:
    text = shared_client.get("/jobs/x").text
    assert text.endswith("}\n")
    assert text.count("\n") == 1
    assert text.index('"type"') < text.index('"title"') < text.index('"status"') < text.index('"detail"')
