"""What other sites' pages can have a browser do here: nothing that changes anything."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import pytest
from flask import Flask

from jobsvc.access.acts import Act
from jobsvc.access.key_ring import KeyRing
from jobsvc.access.roles import Right
from jobsvc.web import access
from jobsvc.web.access import needs
from tests.support.browser import PLAIN, SECURE, Browser
from tests.support.requests import assert_problem

ANN = "key-of-ann-0000000000000000"

CHANGING = ("POST", "PUT", "PATCH", "DELETE")


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    return make_app(api_keys=KeyRing.read(f"ann:{ANN}:admin"))


class Sent(NamedTuple):
    """Where a request says that it comes from, and whether it may change something."""

    site: str | None
    origin: str | None
    with_cookie: bool
    without_keys: bool


OURS, THEIRS = "http://localhost", "http://evil.example"

TABLE = [
    # The browser says it.
    Sent("same-origin", OURS, True, True),
    Sent("same-origin", None, True, True),
    # Behind a proxy that speaks HTTPS and does not say so.
    Sent("same-origin", "https://localhost", True, True),
    Sent("none", None, True, True),
    Sent("same-site", OURS, False, False),
    Sent("same-site", "http://localhost:3000", False, False),
    Sent("cross-site", THEIRS, False, False),
    Sent("cross-site", OURS, False, False),
    Sent("cross-site", None, False, False),
    Sent("", OURS, False, False),
    Sent("Same-Origin", OURS, False, False),
    Sent("anything", OURS, False, False),
    # It says only which page it is.
    Sent(None, OURS, True, True),
    Sent(None, "http://localhost:80", True, True),
    Sent(None, "http://LOCALHOST", True, True),
    Sent(None, THEIRS, False, False),
    Sent(None, "https://localhost", False, False),
    Sent(None, "http://localhost:8081", False, False),
    Sent(None, "http://localhost.evil.example", False, False),
    Sent(None, "http://evil.example#localhost", False, False),
    Sent(None, "http://[", False, False),
    Sent(None, "http://localhost:port", False, False),
    Sent(None, "null", False, False),
    Sent(None, "", False, False),
    # A program says neither; a browser with a cookie always says one of them.
    Sent(None, None, False, True),
]


def said(sent: Sent) -> dict[str, str]:
    given = {"Sec-Fetch-Site": sent.site, "Origin": sent.origin}
    return {name: value for name, value in given.items() if value is not None}


@pytest.mark.in_one_app
@pytest.mark.parametrize("sent", TABLE, ids=str)
def test_with_a_cookie_only_pages_of_this_service_change_something(app: Flask, sent: Sent) -> None:
    browser = Browser(app).log_in(ANN)
    for method in CHANGING:
        for path in ("/jobs/x/pause", "/keys/aaaaaaaa", "/updateTask?id=x&action=stop", "/nothing"):
            answer = browser.ask(method, path, said(sent))
            if sent.with_cookie:
                assert answer.status_code in (400, 404, 405), (method, path, answer.text)
            else:
                assert "only pages of this service" in assert_problem(answer, 403, "other-site")["detail"]
    # The page at least is not at a loss: what changes nothing is there.
    assert browser.get("/jobs", said(sent)).status_code == 200


@pytest.mark.in_one_app
@pytest.mark.parametrize("sent", TABLE, ids=str)
@pytest.mark.parametrize("allow_anonymous", [True, False])
def test_where_there_are_no_keys_the_same_holds(
    make_app: Callable[..., Flask], sent: Sent, allow_anonymous: bool
) -> None:
    browser = Browser(make_app(allow_anonymous=allow_anonymous))
    for method, path in (("POST", "/jobs/x/pause"), ("GET", "/updateTask?id=x&action=stop"), ("DELETE", "/jobs/x")):
        answer = browser.ask(method, path, said(sent))
        if sent.without_keys:
            assert answer.status_code == 404, (method, path, answer.text)
        else:
            local = sent.site == "cross-site" and not allow_anonymous
            assert_problem(answer, 403, "local-only" if local else "other-site")


@pytest.mark.in_one_app
@pytest.mark.parametrize("sent", TABLE, ids=str)
def test_a_key_in_the_header_counts_wherever_it_comes_from(app: Flask, sent: Sent) -> None:
    browser = Browser(app).log_in(ANN)
    shown = {**said(sent), "Authorization": f"Bearer {ANN}"}
    assert browser.post("/jobs/x/pause", shown).status_code == 404
    assert browser.get("/updateTask?id=x&action=stop", shown).status_code == 404


def test_behind_https_the_origin_has_to_be_https_too(app: Flask) -> None:
    browser = Browser(app, SECURE).log_in(ANN)
    for origin, status in ((SECURE, 404), (f"{SECURE}:443", 404), ("http://jobs.example.org", 403), (PLAIN, 403)):
        assert browser.post("/jobs/x/pause", {"Origin": origin}).status_code == status, origin


@pytest.mark.in_one_app
@pytest.mark.parametrize("sent", TABLE, ids=str)
def test_no_other_site_logs_a_browser_in_or_out(app: Flask, sent: Sent) -> None:
    stranger = Browser(app)
    answer = stranger.post("/login", said(sent), data={"key": ANN})
    assert answer.status_code == (303 if sent.without_keys else 403)
    assert ("Set-Cookie" in answer.headers) == sent.without_keys
    browser = Browser(app).log_in(ANN)
    assert browser.post("/logout", said(sent)).status_code == (303 if sent.with_cookie else 403)
    assert browser.get("/jobs").status_code == (401 if sent.with_cookie else 200)


def test_no_cookie_steers_by_get(app: Flask) -> None:
    browser = Browser(app).log_in(ANN)
    job = browser.post("/exportData", json={"from": "2026-01-01", "to": "2026-01-01"}).get_json()["Job ID"]
    before = browser.get(f"/jobs/{job}/events").get_json()["events"]
    walked = 0
    for rule in app.url_map.iter_rules():
        if "GET" not in (rule.methods or ()) or not access.get_changes(app.view_functions[rule.endpoint]):
            continue
        walked += 1
        for method, site in product(("GET", "HEAD"), ("same-origin", "none", "cross-site")):
            path = re.sub(r"<[^>]+>", job, rule.rule)
            query = {"id": job, "action": "terminate"}
            answer = browser.ask(method, path, {"Sec-Fetch-Site": site}, query_string=query)
            assert answer.status_code == 403, rule.rule
            if method == "GET":
                assert "Authorization: Bearer" in assert_problem(answer, 403, "not-by-login")["detail"]
    assert walked > 0
    reasons = {event["to"] for event in browser.get(f"/jobs/{job}/events").get_json()["events"][len(before) :]}
    assert not reasons & {"terminating", "terminated"}
    assert browser.post("/updateTask", data={"id": "x", "action": "stop"}).status_code == 404


def test_a_get_that_may_change_something_has_to_say_so() -> None:
    app = Flask("unstated", static_folder=None)

    @app.get("/stop")
    @needs(Right.STEER, Act.STEER)
    def stop() -> str:
        return "stopped"

    with pytest.raises(access.UnguardedRoute, match=r"GET /stop .* does not state get_changes"):
        access.register(app)


def test_the_contract_says_which_routes_a_login_is_enough_for(app: Flask) -> None:
    contract = Browser(app).log_in(ANN).get("/openapi.json").get_json()
    task = contract["paths"]["/updateTask"]
    assert [list(way) for way in task["get"]["security"]] == [["key"]]
    assert [list(way) for way in task["post"]["security"]] == [["key"], ["session"]]
    assert "303" not in task["get"]["responses"]
    assert "303" in contract["paths"]["/jobs"]["get"]["responses"]
    assert contract["paths"]["/login"]["post"]["security"] == []
