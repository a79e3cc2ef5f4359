"""The page with the list of jobs, without a browser: what it shows to whom, and what it costs."""

from __future__ import annotations

import re
from collections.abc import Callable
from statistics import median
from time import monotonic, thread_time

import pytest
from flask import Flask, template_rendered

from jobsvc.access.key_ring import KeyRing
from jobsvc.access.roles import Right, Role
from jobsvc.jobs.states import State
from jobsvc.store.database import Database
from jobsvc.web.dashboard.presenting import LOOKS
from jobsvc.web.services import Services
from tests.support.browser import PAGE_VIEW, Browser
from tests.support.many_jobs import add_jobs

KEYS = {role: f"key-of-{role}-{'0' * 20}" for role in Role}

RING = ",".join(f"ann:{key}:{role}" if role is Role.USER else f"eve:{key}:{role}" for role, key in KEYS.items())

FORM = re.compile(r'<form method="post" action="(/jobs/[^"]+)"')

MANY = 100_000

MILLISECONDS = 50
"""Of a processor: a page of the list takes no longer."""


@pytest.fixture
def database(services: Services) -> Database:
    return Database(services.settings.url)


def show(browser: Browser, path: str = "/") -> str:
    answer = browser.get(path, {"Accept": PAGE_VIEW})
    assert answer.status_code == 200, answer.text
    return answer.text


def forms_in(text: str) -> list[str]:
    return FORM.findall(text)


def test_every_state_has_a_look() -> None:
    assert set(LOOKS) == set(State)


@pytest.fixture
def with_keys(make_app: Callable[..., Flask]) -> Flask:
    """One job of ann's, one of bob's, both failed."""
    app = make_app(api_keys=KeyRing.read(RING))
    database = Database(app.extensions["jobsvc"].settings.url)
    for user in ("ann", "bob"):
        add_jobs(database, 1, "failed", "baselineCSV", user)
    return app


@pytest.mark.parametrize("role", list(Role))
def test_nobody_sees_a_button_that_would_be_refused(with_keys: Flask, role: Role) -> None:
    browser = Browser(with_keys).log_in(KEYS[role])
    text = show(browser)
    forms = forms_in(text)
    assert bool(forms) == (Right.STEER in role.rights)
    assert ("All of these" in text) == (Right.STEER in role.rights)
    for path in {path.split("/")[2]: path for path in forms}.values():
        assert browser.post(path, data={"wait": "1"}).status_code in (200, 202), path
    for path in re.findall(r'<a href="(/[^"]*)"', text):
        assert browser.get(path.replace("&amp;", "&"), {"Accept": PAGE_VIEW}).status_code == 200, path


def test_a_user_sees_their_own_jobs_and_others_not_even_by_the_filter(with_keys: Flask) -> None:
    browser = Browser(with_keys).log_in(KEYS[Role.USER])
    assert "job-ann-baselineCSV" in show(browser)
    for path in ("/", "/?user=bob", "/?text=bob", "/?state=failed", "/ui/many"):
        assert "bob-baselineCSV" not in show(browser, path)


def test_what_one_role_sees_is_not_shown_to_another(with_keys: Flask) -> None:
    operator, user, viewer = (Browser(with_keys).log_in(KEYS[role]) for role in (Role.OPERATOR, Role.USER, Role.VIEWER))
    for _ in range(2):
        assert "job-bob-" in show(operator, "/?live=1")
        assert "job-bob-" not in show(user, "/?live=1")
        assert forms_in(show(viewer, "/?live=1")) == []


def test_a_browser_that_is_not_logged_in_is_led_to_the_login_and_a_script_is_told(with_keys: Flask) -> None:
    browser = Browser(with_keys)
    led = browser.get("/?state=failed", {"Accept": PAGE_VIEW})
    assert (led.status_code, led.headers["Location"]) == (303, "/login?next=/?state%3Dfailed")
    assert browser.get("/?live=1").status_code == 401


@pytest.mark.parametrize("state", [None, *State])
def test_the_buttons_of_a_job_are_what_its_state_allows(app: Flask, database: Database, state: State | None) -> None:
    if state is None:
        assert forms_in(show(Browser(app))) == []
        return
    add_jobs(database, 1, state, "baselineCSV", done=1)
    shown = {path.rpartition("/")[2] for path in forms_in(show(Browser(app)))}
    expected = {
        "queued": {"pause", "terminate"},
        "running": {"pause", "terminate"},
        "pausing": {"terminate"},
        "paused": {"resume", "terminate"},
        "interrupted": {"pause", "resume", "terminate"},
        "terminating": set(),
        "terminated": {"rollback"},
        "succeeded": {"rollback"},
        "failed": {"resume", "rollback"},
    }
    assert shown == expected[state]


def test_what_has_not_changed_is_answered_by_304(app: Flask, database: Database) -> None:
    add_jobs(database, 3, "paused")
    browser = Browser(app)
    first = browser.get("/?live=1")
    again = browser.get("/?live=1", {"If-None-Match": first.headers["ETag"], "X-Fresh": "1"})
    assert (again.status_code, again.data) == (304, b"")


def test_pages_follow_each_other_and_keep_the_filter(app: Flask, database: Database) -> None:
    ids = add_jobs(database, 120, "paused", kind="baselineCSV")
    browser, seen, path = Browser(app), [], "/?state=paused"
    while path:
        text = show(browser, path)
        seen += re.findall(r'<tr id="job-([^"]+)"', text)
        found = re.search(r'href="([^"]+)">Older', text)
        path = found[1].replace("&amp;", "&") if found else ""
        assert not path or "state=paused" in path
    assert seen == ids[::-1]


def test_a_hundred_thousand_jobs_take_no_longer_than_a_hundred(app: Flask, database: Database) -> None:
    browser = Browser(app)

    def milliseconds(path: str) -> float:
        taken = []
        for _ in range(7):
            begun = thread_time()
            answer = browser.get(path, {"X-Fresh": "1"})
            taken.append(1000 * (thread_time() - begun))
            assert answer.status_code == 200
        return median(taken)

    paths = ["/?live=1", "/?live=1&state=succeeded", "/?live=1&kind=ticks&state=failed", "/?live=1&user=Ann"]
    for state in ("succeeded", "failed"):
        add_jobs(database, 50, state, user="Ann" if state == "failed" else "Bob")
    few = {path: milliseconds(path) for path in paths}
    for number in range(10):
        add_jobs(database, MANY // 10, "succeeded", user=f"U{number}")
    many = {path: milliseconds(path) for path in paths}
    for path in paths:
        assert many[path] < min(MILLISECONDS, 3 * few[path] + 5), (path, few, many)


def test_fifty_who_look_cost_one_rendering_a_second(app: Flask, database: Database) -> None:
    add_jobs(database, 100, "running")
    browser, rendered, spent = Browser(app), [], []
    tag = browser.get("/?live=1").headers["ETag"]
    with template_rendered.connected_to(lambda _, template, context: rendered.append(template.name), app):
        begun = monotonic()
        for _ in range(100):
            before = thread_time()
            assert browser.get("/?live=1", {"If-None-Match": tag}).status_code == 304
            spent.append(1000 * (thread_time() - before))
        seconds = monotonic() - begun
    assert len(rendered) <= 1 + seconds
    assert median(spent) < 5


def test_a_check_is_told_from_an_import(app: Flask, database: Database) -> None:
    add_jobs(database, 1, "succeeded", "baselineCSV", dry_run=True)
    add_jobs(database, 1, "succeeded", "bulkTeam")
    text = show(Browser(app))
    assert "baselineCSV, a check: makes nothing" in text
    assert "bulkTeam, a check" not in text


def test_nobody_is_shown_the_address_by_which_another_one_has_come(make_app: Callable[..., Flask]) -> None:
    app = make_app(allow_anonymous=True)
    assert "http://elsewhere.example/uploadCSV" in show(Browser(app, "http://elsewhere.example"))
    assert "elsewhere" not in show(Browser(app))
