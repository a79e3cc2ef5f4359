"""What the client sends, and what it makes of answers, against a server that answers as it is told."""

from __future__ import annotations

import json
import ssl
from pathlib import Path

import pytest

from jobsvc.cli.client.api import Api
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
        (400, {"detail": "limit: no", "parameter": "limit"}, 2, "Error: limit: no\n"),
        (400, {"errorType": "invalid_from_date", "message": "from: no"}, 2, "Error: from: no\n"),
        (400, {"errorType": "invalid_job", "message": "there is no job"}, 5, "Error: there is no job\n"),
        (410, {"detail": "removed"}, 5, "Error: removed\n"),
        (409, {"errorType": "job_finished", "message": "the message"}, 6, "Error: the message\n"),
        (403, {"title": "the title"}, 6, "Error: the title\n"),
        (404, {"errorType": "id_doesn't_exist"}, 5, "Error: id_doesn't_exist\n"),
        (503, {"detail": "later"}, 7, "Error: URL (from JOBSVC_URL) can't answer at the moment: later\n"),
        (507, {"detail": "no room"}, 7, "Error: URL (from JOBSVC_URL) can't answer at the moment: no room\n"),
        (
            503,
            {"status": "not ready", "reason": "ends"},
            7,
            "Error: URL (from JOBSVC_URL) can't answer at the moment: ends\n",
        ),
        (400, {"detail": "a\x1b[31m\nb"}, 6, "Error: a\\x1b[31m\\nb\n"),
    ],
)
def test_an_error_is_told_in_the_words_of_the_service(
    told: Told, url: str, status: int, body: dict[str, str], exit: int, said: str
) -> None:
    told.status, told.body = status, json.dumps(body).encode()
    found = jobsvc(url, "workers")
    assert (found.exit, found.err) == (exit, said.replace("URL (", f"{url} ("))


@pytest.mark.parametrize(
    ("status", "body", "exit", "said", "hint"),
    [
        (200, b"<html>", 7, "its answer is something else (status 200)", "Is another program there?"),
        (200, b"[]", 7, "its answer is something else (status 200)", "Is another program there?"),
        (200, b'{"hello": 1}', 7, "its answer is something else (status 200)", "Is another program there?"),
        (502, b"bad gateway", 7, "its answer is something else (status 502)", "Is another program there?"),
        (404, b"{}", 7, "it knows no /workers (status 404)", "is its version at least that of this command"),
        (404, b'{"type": "about:blank", "detail": "x"}', 7, "it knows no /workers", "is its version at least"),
        (405, b"no", 7, "it knows no /workers (status 405)", "is its version at least"),
        (302, b"", 7, "it sends to nowhere (status 302)", "with --url or JOBSVC_URL"),
        (401, b"who?", 6, "it lets nobody in without a key", "A key is given with --key or JOBSVC_API_KEY."),
    ],
)
def test_an_answer_that_is_none_of_jobsvc_is_told(
    told: Told, url: str, status: int, body: bytes, exit: int, said: str, hint: str
) -> None:
    told.status, told.body = status, body
    found = jobsvc(url, "workers")
    assert found.exit == exit
    first, second = found.err.splitlines()
    assert first.startswith(f"Error: {url} (from JOBSVC_URL) does not answer as jobsvc does: ")
    assert said in first
    assert hint in second
    in_json = jobsvc(url, "workers", "--json").error
    assert (f"Error: {in_json['error']}", in_json["hint"], in_json["exit"]) == (first, second, exit)


def test_a_path_that_is_too_much_is_told(told: Told, url: str) -> None:
    told.status = 404
    found = jobsvc("", "workers", "--url", f"{url}/jobs/")
    assert (found.exit, "it knows no /jobs/workers" in found.err) == (7, True), found.err
    assert found.err.splitlines()[1].startswith("Is the path /jobs right?")


def test_a_page_for_people_ends_in_no_file(told: Told, url: str, tmp_path: Path) -> None:
    told.body, told.content_type = b"<html>log in</html>", "text/html; charset=utf-8"
    found = jobsvc(url, "result", "x", "-o", str(tmp_path / "x.csv"))
    assert (found.exit, "its answer is a page for people" in found.err) == (7, True), found.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "loads"),
    [
        ("http://127.0.0.1:1", False),
        ("http://localhost:1/jobs", False),
        ("https://127.0.0.1:1", True),
        # A proxy may be between, and that may want TLS.
        ("http://jobs.example:1", True),
    ],
)
def test_authorities_are_loaded_where_a_certificate_may_come(
    url: str, loads: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[object] = []
    for name in ("load_verify_locations", "load_default_certs"):
        monkeypatch.setattr(ssl.SSLContext, name, lambda self, *_, **__: loaded.append(self))
    Api(url, None).close()
    assert bool(loaded) is loads
