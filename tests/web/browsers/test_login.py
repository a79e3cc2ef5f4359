"""Logging in with a browser: what its session is, and when it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from flask import Flask
from sqlalchemy import select, update

from jobsvc.access.key_ring import KeyRing
from jobsvc.access.roles import Role
from jobsvc.access.session_text import IDLE, LONGEST
from jobsvc.clock import now
from jobsvc.service.callers.keys import MadeKey, NewApiKey
from jobsvc.service.retention import Retention, RetentionPolicy
from jobsvc.store.database import Database
from jobsvc.store.tables import api_keys, sessions
from jobsvc.web.browsers.attempts import ALLOWED
from jobsvc.web.services import Services
from tests.support.browser import PAGE_VIEW, PLAIN, SECURE, Browser, cookie_of
from tests.support.requests import assert_problem

pytestmark = pytest.mark.both_databases

ANN = "key-of-ann-0000000000000000"

MOMENT = timedelta(seconds=1)


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    return make_app(api_keys=KeyRing.read(f"ann:{ANN}:user"))


@pytest.fixture
def bob(services: Services) -> MadeKey:
    return services.keys.create(NewApiKey("bob", Role.OPERATOR), by="test")


@pytest.fixture
def database(services: Services) -> Iterator[Database]:
    """What the application stores, past it."""
    database = Database(services.settings.url)
    yield database
    database.close()


def lets_in(browser: Browser) -> bool:
    answer = browser.get("/jobs")
    assert answer.status_code in (200, 401)
    return answer.status_code == 200


def test_a_key_of_the_table_and_one_of_the_settings_give_a_session(app: Flask, bob: MadeKey) -> None:
    for key, name, role in ((ANN, "ann", "user"), (bob.text, "bob", "operator")):
        browser = Browser(app)
        assert not lets_in(browser)
        browser.log_in(f" {key}\n")
        assert lets_in(browser)
        page = browser.get("/login").text
        assert f"<strong>{name}</strong>" in page
        assert f"<strong>{role}</strong>" in page
        assert key not in page


def test_a_session_may_do_what_its_key_may_and_nothing_else(app: Flask) -> None:
    browser = Browser(app).log_in(ANN)
    assert_problem(browser.get("/workers"), 403, "not-permitted")
    job = browser.post("/exportData", json={"from": "2026-01-01", "to": "2026-01-01"}).get_json()["Job ID"]
    assert job.startswith("ann-")


@pytest.mark.parametrize(
    ("base_url", "name", "secure"), [(PLAIN, "jobsvc", False), (SECURE, "__Host-jobsvc", True)], ids=["http", "https"]
)
def test_the_cookie_is_for_this_service_s_own_pages_alone(app: Flask, base_url: str, name: str, secure: bool) -> None:
    answer = Browser(app, base_url).post("/login", data={"key": ANN})
    found, value, flags = cookie_of(answer)
    assert found == name
    assert len(value) >= 43
    assert {"HttpOnly", "SameSite=Strict", "Path=/", f"Max-Age={int(LONGEST.total_seconds())}"} <= flags
    assert ("Secure" in flags) == secure
    assert not any(flag.startswith("Domain") for flag in flags)
    assert answer.headers["Cache-Control"] == "no-store"


def test_of_a_session_only_a_digest_is_stored(app: Flask, database: Database) -> None:
    _, value, _ = cookie_of(Browser(app).post("/login", data={"key": ANN}))
    with database.read() as connection:
        (row,) = connection.execute(select(sessions)).mappings()
    assert value not in str(row)
    assert ANN not in str(row)
    assert row["expires_at"] - row["created_at"] == LONGEST


def test_a_wrong_key_gets_the_page_again_and_the_reason(app: Flask, bob: MadeKey, services: Services) -> None:
    services.keys.revoke(bob.key.id, by="test")
    browser = Browser(app)
    for key, reason in (("x" * 40, "no key of this service"), (bob.text, "was revoked at")):
        answer = browser.post("/login?next=/jobs?limit=5", data={"key": key})
        assert (answer.status_code, answer.mimetype) == (401, "text/html")
        assert reason in answer.text
        assert 'action="login?next=/jobs%3Flimit%3D5"' in answer.text
        assert key not in answer.text
        assert "Set-Cookie" not in answer.headers
        assert not lets_in(browser)


def test_a_key_in_the_address_is_refused_as_histories_and_logs_would_have_it(app: Flask) -> None:
    found = assert_problem(Browser(app).post("/login", query_string={"key": ANN}), 400, "invalid-parameter")
    assert found["parameter"] == "key"


def test_who_tries_many_wrong_keys_has_to_wait_and_others_have_not(app: Flask) -> None:
    guessing, other = {"REMOTE_ADDR": "127.0.0.7"}, {"REMOTE_ADDR": "127.0.0.8"}
    browser = Browser(app)
    for number in range(ALLOWED):
        answer = browser.post("/login", data={"key": f"{number:040}"}, environ_base=guessing)
        assert answer.status_code == 401
    refused = browser.post("/login", data={"key": ANN}, environ_base=guessing)
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert "Set-Cookie" not in refused.headers
    assert browser.post("/login", data={"key": ANN}, environ_base=other).status_code == 303
    assert browser.get("/jobs", environ_base=guessing).status_code == 200


def test_a_session_ends_with_its_key(app: Flask, bob: MadeKey, services: Services) -> None:
    browser = Browser(app).log_in(bob.text)
    other = Browser(app).log_in(ANN)
    services.keys.revoke(bob.key.id, by="test")
    assert "was revoked" in assert_problem(browser.get("/jobs"), 401, "no-good-key")["detail"]
    assert lets_in(other)


def test_a_session_ends_when_its_key_expires(app: Flask, bob: MadeKey, database: Database) -> None:
    browser = Browser(app).log_in(bob.text)
    with database.write() as connection:
        connection.execute(update(api_keys).values(expires_at=now() - MOMENT))
    assert "has expired" in assert_problem(browser.get("/jobs"), 401, "no-good-key")["detail"]


def test_a_session_ends_when_its_key_is_taken_out_of_the_settings(make_app: Callable[..., Flask]) -> None:
    first = make_app(api_keys=KeyRing.read(f"ann:{ANN}"))
    _, value, _ = cookie_of(Browser(first).post("/login", data={"key": ANN}))
    first.extensions["jobsvc"].close()
    second = make_app(api_keys=KeyRing.read(f"ann:{ANN}:viewer"))
    assert "<strong>viewer</strong>" in Browser(second).copy(value).get("/login").text
    second.extensions["jobsvc"].close()
    third = make_app(api_keys=KeyRing.read(f"ann:{'y' * 30}"))
    assert not lets_in(Browser(third).copy(value))


@pytest.mark.parametrize("unused", [timedelta(), IDLE - 30 * MOMENT, IDLE + 30 * MOMENT])
def test_a_session_ends_when_nobody_uses_it(app: Flask, database: Database, unused: timedelta) -> None:
    browser = Browser(app).log_in(ANN)
    with database.write() as connection:
        connection.execute(update(sessions).values(last_used_at=now() - unused))
    assert lets_in(browser) == (unused < IDLE)


def test_a_session_ends_after_some_days_however_much_it_is_used(app: Flask, database: Database) -> None:
    browser = Browser(app).log_in(ANN)
    with database.write() as connection:
        connection.execute(update(sessions).values(expires_at=now() - MOMENT))
    assert not lets_in(browser)


def test_the_use_of_a_session_is_noted(app: Flask, bob: MadeKey, services: Services, database: Database) -> None:
    browser = Browser(app).log_in(bob.text)
    earlier = now() - IDLE / 2
    with database.write() as connection:
        connection.execute(update(sessions).values(last_used_at=earlier))
        connection.execute(update(api_keys).values(last_used_at=earlier))
    assert lets_in(browser)
    # What was used is written at the end at the latest.
    services.close()
    with database.read() as connection:
        assert connection.execute(select(sessions.c.last_used_at)).scalar_one() > earlier
        assert connection.execute(select(api_keys.c.last_used_at)).scalar_one() > earlier


def test_a_logout_ends_the_session_and_no_other_of_the_same_key(app: Flask) -> None:
    first, second = Browser(app), Browser(app).log_in(ANN)
    _, value, _ = cookie_of(first.post("/login", data={"key": ANN}))
    answer = first.post("/logout")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login")
    name, emptied, flags = cookie_of(answer)
    assert (name, emptied) == ("jobsvc", "")
    assert "Max-Age=0" in flags
    assert not lets_in(first)
    assert not lets_in(first.copy(value)), "a copy of the cookie"
    assert lets_in(second)
    assert first.post("/logout").status_code == 303


def test_each_login_makes_another_session_and_ends_the_one_before(app: Flask, database: Database) -> None:
    planted = "A" * 43
    browser = Browser(app).copy(planted)
    _, first, _ = cookie_of(browser.post("/login", data={"key": ANN}))
    _, second, _ = cookie_of(browser.post("/login", data={"key": ANN}))
    assert len({planted, first, second}) == 3
    assert not lets_in(browser.copy(planted))
    assert not lets_in(browser.copy(first))
    assert lets_in(browser.copy(second))


@pytest.mark.in_one_app
@pytest.mark.parametrize("value", ["", "x", "A" * 43, "é" * 43, "A" * 5000, "' OR 1=1 --"])
def test_what_is_no_session_lets_nobody_in(app: Flask, value: str) -> None:
    assert not lets_in(Browser(app).copy(value))


def test_the_cookie_of_https_counts_there_alone(app: Flask) -> None:
    browser = Browser(app, SECURE).log_in(ANN)
    assert lets_in(browser)
    value = browser.client.get_cookie("__Host-jobsvc", "jobs.example.org")
    assert value is not None
    plain = Browser(app, "http://jobs.example.org")
    plain.client.set_cookie("__Host-jobsvc", value.value, domain="jobs.example.org")
    assert not lets_in(plain)


def test_a_key_in_the_header_counts_and_no_cookie_beside_it(app: Flask, bob: MadeKey) -> None:
    browser = Browser(app).log_in(ANN)
    as_bob = {"Authorization": f"Bearer {bob.text}", "Sec-Fetch-Site": "same-origin"}
    assert browser.get("/workers", as_bob).status_code == 200
    wrong = {"Authorization": f"Bearer {'x' * 40}", "Sec-Fetch-Site": "same-origin"}
    assert_problem(browser.get("/jobs", wrong), 401, "no-good-key")


def test_a_person_without_a_session_is_led_to_the_login_and_back(app: Flask) -> None:
    browser = Browser(app)
    led = browser.get("/jobs?limit=5&state=running", {"Accept": PAGE_VIEW})
    assert (led.status_code, led.data) == (303, b"")
    where = led.headers["Location"]
    assert urlsplit(where).path == "/login"
    assert browser.get(where).status_code == 200
    back = browser.post(where, data={"key": ANN})
    assert back.headers["Location"] == "/jobs?limit=5&state=running"
    assert browser.get(back.headers["Location"], {"Accept": PAGE_VIEW}).status_code == 200


@pytest.mark.in_one_app
@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/csv", "application/json, text/html;q=0.5", ""])
def test_a_program_without_a_key_is_answered_401(app: Flask, accept: str) -> None:
    assert_problem(Browser(app).get("/jobs", {"Accept": accept}), 401, "no-good-key")


def test_what_is_no_view_of_a_page_is_answered_401(app: Flask) -> None:
    browser, person = Browser(app), {"Accept": PAGE_VIEW}
    for method, path in (("GET", "/updateTask?id=x&action=stop"), ("GET", "/nothing")):
        assert_problem(browser.ask(method, path, person), 401, "no-good-key")
    form = browser.post("/jobs/x/pause", {**person, "Sec-Fetch-Site": "same-origin"})
    assert (form.status_code, form.mimetype) == (401, "text/html")
    assert "A key is needed" in form.text
    assert_problem(browser.get("/jobs", {**person, "Authorization": f"Bearer {'x' * 40}"}), 401, "no-good-key")


ELSEWHERE = [
    "https://evil.example/",
    "//evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    " //evil.example",
    "javascript:alert(1)",
    "evil.example",
    "",
]


@pytest.mark.in_one_app
@pytest.mark.parametrize("path", ELSEWHERE)
def test_a_login_leads_to_no_other_site(app: Flask, path: str) -> None:
    browser = Browser(app)
    page = browser.get("/login", query_string={"next": path})
    assert 'action="login"' in page.text
    answer = browser.post("/login", query_string={"next": path}, data={"key": ANN})
    assert answer.headers["Location"] == "/login"


def test_where_there_are_no_keys_nobody_has_to_log_in(make_app: Callable[..., Flask]) -> None:
    browser = Browser(make_app())
    assert "nobody has to log in" in browser.get("/login").text
    answer = browser.post("/login", data={"key": ANN})
    assert answer.status_code == 303
    assert "Set-Cookie" not in answer.headers
    assert browser.copy("A" * 43).get("/jobs").status_code == 200


def test_sessions_that_have_ended_are_forgotten_and_no_others(
    app: Flask, services: Services, database: Database
) -> None:
    kept = Browser(app).log_in(ANN)
    with database.read() as connection:
        (digest,) = connection.execute(select(sessions.c.digest)).scalars()
    for column, at in (("last_used_at", now() - IDLE - MOMENT), ("expires_at", now() - MOMENT)):
        Browser(app).log_in(ANN)
        fresh = sessions.c.digest != digest
        with database.write() as connection:
            connection.execute(update(sessions).where(fresh).values({column: at}))
        Retention(database, services.files, RetentionPolicy(None, None, timedelta(hours=1)), lambda _: now()).sweep()
        with database.read() as connection:
            assert list(connection.execute(select(sessions.c.digest)).scalars()) == [digest], column
    assert lets_in(kept)


def test_the_page_works_without_script_and_its_style_is_its_own(app: Flask) -> None:
    page = Browser(app).get("/login")
    assert page.headers["Cache-Control"] == "no-store"
    for forbidden in ("<script", "<style", "style=", "onclick", "http:", "https:"):
        assert forbidden not in page.text
    style = Browser(app).get("/login/page.css")
    assert (style.status_code, style.mimetype) == (200, "text/css")
    again = Browser(app).get("/login/page.css", {"If-None-Match": style.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
