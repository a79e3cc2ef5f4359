"""What every answer tells a browser."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from jobsvc.access.key_ring import KeyRing
from jobsvc.process.http.answer import FOR_BROWSERS, whole
from jobsvc.web.browsers import headers
from tests.support.browser import PAGE_VIEW, PLAIN, SECURE, Browser
from tests.support.requests import CSV
from tests.support.waiting import Commits

ANN = "key-of-ann-0000000000000000"

PAGES = {"/login", "/docs"}


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    return make_app(api_keys=KeyRing.read(f"ann:{ANN}:admin"))


def assert_headers(answer: TestResponse, what: str, *, secure: bool) -> None:
    assert answer.headers["X-Content-Type-Options"] == "nosniff", what
    assert answer.headers["X-Frame-Options"] == "DENY", what
    assert answer.headers["Referrer-Policy"] == "same-origin", what
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin", what
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin", what
    assert ("Strict-Transport-Security" in answer.headers) == secure, what
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; "), what
    assert "frame-ancestors 'none'" in policy, what
    assert "base-uri 'none'" in policy, what
    assert "unsafe" not in policy, what
    assert set(re.findall(r"[^\s;]+:", policy)) <= {"data:"}, what
    assert ("script-src" in policy) == (answer.mimetype == "text/html"), what
    assert "Access-Control-Allow-Origin" not in answer.headers, what


@pytest.mark.parametrize("base_url", [PLAIN, SECURE])
@pytest.mark.parametrize("known", ["nobody", "a session", "a key"])
def test_every_answer_of_every_route_has_the_headers(app: Flask, base_url: str, known: str) -> None:
    browser, statuses = Browser(app, base_url), set()

    def is_page(endpoint: str, answer: TestResponse) -> bool:
        shown = answer.request.method in ("GET", "HEAD") and answer.status_code == 200
        return shown and (answer.request.path in PAGES or endpoint.startswith("dashboard."))

    if known == "a session":
        browser.log_in(ANN)
    said = {"Authorization": f"Bearer {ANN}"} if known == "a key" else None
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<[^>]+>", "x", rule.rule)
        if path == "/logout":
            continue
        for method in (*sorted(rule.methods or ()), "PATCH"):
            answer = browser.ask(method, path, said)
            statuses.add(answer.status_code)
            assert_headers(answer, f"{method} {path}: {answer.status_code}", secure=base_url == SECURE)
            if method != "OPTIONS":
                assert (answer.mimetype == "text/html") == is_page(rule.endpoint, answer), path
    assert_headers(browser.get("/nothing/here", said), "no route", secure=base_url == SECURE)
    assert {200, 400} < statuses
    assert (401 in statuses) == (known == "nobody")
    assert (405 in statuses) == (known != "nobody")


def test_refusals_and_redirects_have_them_too(app: Flask) -> None:
    browser = Browser(app)
    led = browser.get("/jobs", {"Accept": PAGE_VIEW})
    other_site = browser.post("/login", {"Sec-Fetch-Site": "cross-site"}, data={"key": ANN})
    wrong = browser.post("/login", data={"key": "x" * 40})
    too_large = browser.post("/login", data={"key": "x" * 100_000})
    right = browser.post("/login", data={"key": ANN})
    answers = (led, other_site, wrong, too_large, right)
    assert [answer.status_code for answer in answers] == [303, 403, 401, 413, 303]
    for answer in answers:
        assert_headers(answer, str(answer.status_code), secure=False)


def test_a_failure_of_the_service_has_them_too(app: Flask) -> None:
    @app.before_request
    def fail() -> None:
        raise ZeroDivisionError

    # The contract has no such answer.
    answer = FlaskClient(app, app.response_class).get("/healthz", buffered=True)
    assert answer.status_code == 500
    assert_headers(answer, "a failure", secure=False)


def test_what_people_have_uploaded_is_a_download_and_never_a_page(app: Flask, commits: Commits) -> None:
    browser = Browser(app).log_in(ANN)
    file = {"file": (io.BytesIO(CSV), "x.csv")}
    job = browser.post("/uploadCSV", data=file).get_json()["Job ID"]
    commits.wait_for(lambda: browser.get(f"/jobs/{job}").get_json()["state"] == "succeeded", "the job to succeed")
    export = browser.post("/exportData", json={"from": "2018-07-01", "to": "2026-12-31"}).get_json()["Job ID"]
    commits.wait_for(lambda: browser.get(f"/jobs/{export}").get_json()["state"] == "succeeded", "the export to succeed")
    for path in (f"/jobs/{job}/failed", f"/jobs/{job}/unprocessed", f"/jobs/{export}/result"):
        answer = browser.get(path)
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Disposition"].startswith("attachment"), path
        assert_headers(answer, path, secure=False)


def test_what_a_session_sees_is_nothing_for_shared_caches(app: Flask) -> None:
    browser = Browser(app).log_in(ANN)
    for path in ("/jobs", "/kinds", "/records", "/keys"):
        said = browser.get(path).headers["Cache-Control"]
        assert "private" in said, path
        assert "no-cache" in said, path


def test_the_server_s_own_answers_have_the_same_headers() -> None:
    assert FOR_BROWSERS == headers.ALWAYS
    sent = whole(408, "Request Timeout", b"{}").decode()
    for name, value in FOR_BROWSERS.items():
        assert f"\r\n{name}: {value}\r\n" in sent
