"""What browsers leave in the audit: logins, logouts, wrong keys, and what other sites' pages had them send."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Connection, RowMapping, select
from werkzeug.test import TestResponse

from jobsvc.access.key_ring import KeyRing
from jobsvc.access.roles import Role
from jobsvc.service.callers.keys import MadeKey, NewApiKey
from jobsvc.store.database import Database
from jobsvc.store.queries.callers import session_rows
from jobsvc.store.tables import sessions
from jobsvc.web.browsers.attempts import ALLOWED
from jobsvc.web.services import Services
from tests.support.audit_lines import lines_of
from tests.support.browser import Browser, cookie_of
from tests.support.waiting import TIMEOUT, Commits

pytestmark = pytest.mark.both_databases

ANN = "key-of-ann-0000000000000000"

THEIRS = {"Sec-Fetch-Site": "same-site"}
"""A page of another port of the same machine: to it, the cookie is one of its own site."""


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    return make_app(api_keys=KeyRing.read(f"ann:{ANN}:user"))


@pytest.fixture
def database(services: Services) -> Database:
    return services.jobs.lookup._database


@pytest.fixture
def bob(services: Services) -> MadeKey:
    return services.keys.create(NewApiKey("bob", Role.OPERATOR), by="test")


def told(line: dict[str, Any]) -> tuple[Any, ...]:
    return line["action"], line["outcome"], line["user"], line["role"], line["key_id"], line["address"]


class Refused:
    """The only line that a refusal leaves, which comes a moment after the answer."""

    def __init__(self, database: Database, commits: Commits) -> None:
        self._database, self._commits = database, commits

    def wait_for(self, count: int, action: str) -> None:
        self._commits.wait_for(lambda: len(lines_of(self._database, action=action)) == count, "all lines")

    def line(self, answer: TestResponse) -> dict[str, Any]:
        named = {"request_id": answer.headers["X-Request-ID"]}
        self._commits.wait_for(lambda: bool(lines_of(self._database, **named)), "the line")
        (line,) = lines_of(self._database, **named)
        return line


@pytest.fixture
def refused(database: Database, commits: Commits) -> Refused:
    return Refused(database, commits)


def test_a_login_and_a_logout_have_a_line_with_who_and_from_where(app: Flask, bob: MadeKey, database: Database) -> None:
    of_ann, of_bob = ("ann", "user", "JOBSVC_API_KEYS:ann"), ("bob", "operator", bob.key.id)
    for key, who in ((ANN, of_ann), (bob.text, of_bob)):
        browser = Browser(app)
        for path, action, status in (("/login", "login", 303), ("/logout", "logout", 303)):
            answer = browser.post(path, data={"key": key} if path == "/login" else {})
            assert answer.status_code == status
            # It is there with the answer: its transaction is that of the session.
            (line,) = lines_of(database, request_id=answer.headers["X-Request-ID"])
            assert told(line) == (action, "done", *who, "127.0.0.1")
            assert (line["status"], line["target"], line["times"]) == (None, None, 1)
        assert key not in str(lines_of(database))


def test_a_login_and_its_line_are_one_transaction_and_so_are_a_logout_and_its_line(
    services: Services, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    kept = services.sessions.begin(ANN, None)
    monkeypatch.setattr("jobsvc.service.callers.sessions.note_session", fail)
    with pytest.raises(RuntimeError):
        services.sessions.begin(ANN, None)
    with pytest.raises(RuntimeError):
        services.sessions.end(kept.id, None)
    with database.read() as connection:
        assert len(connection.execute(select(sessions)).all()) == 1, "none was begun, none was ended"


def test_only_what_lets_somebody_in_can_be_logged_out_of(
    app: Flask, bob: MadeKey, services: Services, database: Database
) -> None:
    browser = Browser(app)
    _, session, _ = cookie_of(browser.post("/login", data={"key": ANN}))
    browser.post("/logout")
    copied = browser.copy(session)
    revoked = Browser(app).log_in(bob.text)
    services.keys.revoke(bob.key.id, by="test")
    for again in (copied, revoked, Browser(app)):
        assert again.post("/logout").status_code == 303
    assert [line["user"] for line in lines_of(database, action="logout")] == ["ann"]


def test_of_two_logouts_at_once_one_has_a_line(
    services: Services, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = services.sessions.begin(ANN, None).id
    both = Barrier(2)
    real = session_rows.with_key

    def met(connection: Connection, digest: str) -> RowMapping | None:
        found = real(connection, digest)
        # SQLite has one writer at a time.
        if connection.dialect.name == "postgresql":
            both.wait(TIMEOUT)
        return found

    monkeypatch.setattr(session_rows, "with_key", met)
    with ThreadPoolExecutor(2) as threads:
        for ended in [threads.submit(services.sessions.end, session, None) for _ in range(2)]:
            ended.result(TIMEOUT)
    assert len(lines_of(database, action="logout")) == 1


def test_a_login_in_a_browser_that_is_logged_in_tells_of_both(app: Flask, bob: MadeKey, database: Database) -> None:
    browser = Browser(app).log_in(ANN)
    answer = browser.post("/login", data={"key": bob.text})
    lines = lines_of(database, request_id=answer.headers["X-Request-ID"])
    assert {(line["action"], line["user"]) for line in lines} == {("login", "bob"), ("logout", "ann")}


def test_a_wrong_key_at_the_login_has_a_line_with_its_id_and_without_its_secret(
    app: Flask, bob: MadeKey, services: Services, database: Database, refused: Refused
) -> None:
    services.keys.revoke(bob.key.id, by="test")
    for key in (bob.text, "x" * 40):
        headers = {"Sec-Fetch-Site": "same-origin", "X-Request-ID": f"about-{key}"}
        answer = Browser(app).post("/login", headers, data={"key": f" {key}\n"})
        assert answer.status_code == 401
    refused.wait_for(2, "login")
    known, unknown = lines_of(database, action="login")
    assert told(known) == ("login", "refused", None, None, bob.key.id, "127.0.0.1")
    assert told(unknown) == ("login", "refused", None, None, None, "127.0.0.1")
    assert known["status"] == unknown["status"] == 401
    assert bob.text.split("_", 2)[2] not in str((known, unknown))
    assert "x" * 40 not in str((known, unknown))


def test_wrong_keys_without_end_leave_few_lines_and_are_all_counted(
    app: Flask, services: Services, database: Database
) -> None:
    browser = Browser(app)
    statuses = [browser.post("/login", data={"key": f"{number:040}"}).status_code for number in range(ALLOWED + 50)]
    assert statuses == [401] * ALLOWED + [429] * 50
    services.close()
    found = lines_of(Database(services.settings.url), action="login")
    assert sum(line["times"] for line in found if line["status"] == 401) == ALLOWED
    assert sum(line["times"] for line in found if line["status"] == 429) == 50
    assert len(found) == 4


REFUSED: list[tuple[str, str, dict[str, str], str, str | None, str]] = [
    ("POST", "/jobs/x/pause", THEIRS, "job.pause", "x", "other-site"),
    ("POST", "/updateTask?id=x&action=stop", THEIRS, "job.steer", "x", "other-site"),
    ("POST", "/uploadCSV", {}, "job.create", None, "other-site"),
    ("DELETE", "/keys/aaaaaaaa", {"Sec-Fetch-Site": "cross-site"}, "key.revoke", "aaaaaaaa", "other-site"),
    ("POST", "/nothing", THEIRS, "enter", None, "other-site"),
    ("POST", "/logout", THEIRS, "logout", None, "other-site"),
    ("POST", "/login", THEIRS, "login", None, "other-site"),
    ("GET", "/updateTask?id=x&action=stop", THEIRS, "job.steer", "x", "not-by-login"),
    (
        *("GET", "/updateTask?id=x&action=stop", {"Sec-Fetch-Site": "same-origin"}),
        *("job.steer", "x", "not-by-login"),
    ),
]


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_what_is_not_let_in_names_the_user_whose_session_came_with_it(
    app: Flask, refused: Refused, case: tuple[str, str, dict[str, str], str, str | None, str]
) -> None:
    method, path, said, action, target, problem = case
    line = refused.line(Browser(app).log_in(ANN).ask(method, path, said))
    assert told(line) == (action, "refused", "ann", "user", "JOBSVC_API_KEYS:ann", "127.0.0.1")
    assert (line["target"], line["status"], line["problem"]) == (target, 403, problem)


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_a_session_that_is_none_names_nobody(
    app: Flask, refused: Refused, case: tuple[str, str, dict[str, str], str, str | None, str]
) -> None:
    method, path, said, *_ = case
    line = refused.line(Browser(app).copy("x" * 43).ask(method, path, said))
    assert (line["user"], line["role"], line["key_id"]) == (None, None, None)
    assert line["action"] == (path.strip("/") if path in ("/login", "/logout") else "enter")


def test_what_is_not_let_in_is_no_use_of_the_session(app: Flask, services: Services) -> None:
    browser = Browser(app).log_in(ANN)
    for method, path, said, *_ in REFUSED:
        assert browser.ask(method, path, said).status_code == 403
    services.close()
    with Database(services.settings.url).read() as connection:
        (row,) = connection.execute(select(sessions)).mappings()
    assert row["last_used_at"] == row["created_at"]


def test_another_sites_page_can_not_fill_the_disk_with_a_users_refusals(
    app: Flask, services: Services, database: Database
) -> None:
    browser = Browser(app).log_in(ANN)
    for number in range(300):
        assert browser.post(f"/jobs/{number}/pause", THEIRS).status_code == 403
    services.close()
    first, rest = lines_of(Database(services.settings.url), action="job.pause", user="ann")
    assert (first["times"], first["target"]) == (1, "0")
    assert (rest["times"], rest["target"]) == (299, None), "they were about different jobs"
