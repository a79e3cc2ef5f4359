"""What the client sends, and what it makes of answers, against a server that answers as it is told."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Told
from tests.support.shell import jobsvc


@pytest.fixture
def url(told: Told) -> str:
    return told.url


def test_a_key_is_sent_as_a_bearer_token_and_none_if_there_is_none(told: Told, url: str) -> None:
    told.body = b'{"workers": []}'
    assert jobsvc(url, "workers", JOBSVC_API_KEY="abc").exit == 0
    assert told.headers["Authorization"] == "Bearer abc"
    assert jobsvc(url, "workers", "--key", "other", JOBSVC_API_KEY="abc").exit == 0
    assert told.headers["Authorization"] == "Bearer other"
    assert jobsvc(url, "workers", JOBSVC_API_KEY="").exit == 0
    assert told.headers["Authorization"] is None


@pytest.mark.parametrize("key", ["a\nb", "ä", "a b"])
def test_a_key_that_no_header_can_hold_is_refused_and_not_shown(url: str, key: str) -> None:
    found = jobsvc(url, "workers", "--key", key)
    assert (found.exit, found.err.count(key)) == (2, 0)


@pytest.mark.parametrize(
    ("status", "body", "exit", "said"),
    [
        (400, {"title": "T", "detail": "the detail"}, 6, "Error: the detail\n"),
        (409, {"errorType": "job_finished", "message": "the message"}, 6, "Error: the message\n"),
        (403, {"title": "the title"}, 6, "Error: the title\n"),
        (404, {"errorType": "id_doesn't_exist"}, 5, "Error: id_doesn't_exist\n"),
        (503, {"detail": "later"}, 7, "Error: URL can't answer at the moment: later\n"),
        (400, {"detail": "a\x1b[31m\nb"}, 6, "Error: a\\x1b[31m\\nb\n"),
    ],
)
def test_an_error_is_told_in_the_words_of_the_service(
    told: Told, url: str, status: int, body: dict[str, str], exit: int, said: str
) -> None:
    told.status, told.body = status, json.dumps(body).encode()
    found = jobsvc(url, "workers")
    assert (found.exit, found.err) == (exit, said.replace("URL", url))


@pytest.mark.parametrize(("status", "body"), [(200, b"<html>"), (200, b"[]"), (502, b"bad gateway"), (404, b"{}")])
def test_an_answer_that_is_none_of_jobsvc_is_told(told: Told, url: str, status: int, body: bytes) -> None:
    told.status, told.body = status, body
    found = jobsvc(url, "workers")
    assert found.exit == 7
    assert f"does not answer as jobsvc does: its answer has the status {status}" in found.err
