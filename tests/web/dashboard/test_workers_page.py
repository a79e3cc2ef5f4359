"""The page of workers: who is alive, what each runs, and who may look."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from markupsafe import escape
from sqlalchemy import insert

from jobsvc.access.key_ring import KeyRing
from jobsvc.settings import EngineName, Settings
from jobsvc.store.database import Database
from jobsvc.store.postgresql.queue_tables import live_workers
from jobsvc.store.queries import worker_rows
from tests.support.browser import PAGE_VIEW, Browser
from tests.support.gated import Gated
from tests.support.requests import held

ANN, EVE = (f"key-of-{name}-{'0' * 16}" for name in ("ann", "eve"))

ODD_NAME = "<img src=x onerror=alert(1)> \"a\" & 'b'"


def of_a_fleet(test: Callable[..., None]) -> Callable[..., None]:
    """A fleet has PostgreSQL."""
    return pytest.mark.both_databases(pytest.mark.postgresql_only(test))


def shown(app: Flask, key: str = "") -> str:
    """The page, for whoever has that key."""
    browser = Browser(app)
    if key:
        browser.log_in(key)
    answer = browser.get("/ui/workers", {"Accept": PAGE_VIEW})
    assert answer.status_code == 200, answer.text
    return answer.text


def words(html: str) -> str:
    """What stands on it, with single spaces."""
    return " ".join(re.sub(r"<[^>]+>", " ", html.partition("<main")[2]).split())


@pytest.fixture
def fleet_app(make_app: Callable[..., Flask]) -> Flask:
    return make_app(
        engine=EngineName.FLEET, api_keys=KeyRing.read(f"ann:{ANN}:user,eve:{EVE}:viewer"), stalled_after=60.0
    )


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    found = Database(Settings(database_url=database_url).url)
    yield found
    found.close()


def add(database: Database, name: str, silent: float = 0.0, **more: Any) -> None:
    """A worker of which the last heartbeat was so many seconds ago."""
    now = datetime.now(UTC)
    with database.write() as connection:
        added = insert(live_workers).values(last_heartbeat=now - timedelta(seconds=silent)).returning(live_workers.c.id)
        number = connection.execute(added).scalar_one()
        row = {"purpose": "runs", "host": "here", "pid": number, "queues": [], "concurrency": 2}
        row |= {"name": name, "started_at": now, "session": f"jobsvc worker {number}"}
        worker_rows.add(connection, {"id": number, **row, **more})


def test_one_process_tells_what_it_runs_and_links_to_the_job(make_app: Callable[..., Flask], gated: Gated) -> None:
    app = make_app(max_running=3)
    assert "Nothing runs here." in words(shown(app))
    job_id = held(app.extensions["jobsvc"], gated)
    html = Browser(app).get("/ui/workers", {"Accept": PAGE_VIEW, "X-Fresh": "1"}).text
    assert "This service runs its jobs in its own process." in words(html)
    assert "1 of 3 slots used" in words(html)
    assert re.search(rf'<a href="/[^"]*{job_id}">', html)
    assert "running" in words(html)


def test_those_who_may_oversee_see_it_and_others_are_told_why_not(make_app: Callable[..., Flask]) -> None:
    app = make_app(api_keys=KeyRing.read(f"ann:{ANN}:user,eve:{EVE}:viewer"))
    assert "slots used" in words(shown(app, EVE))
    refused = Browser(app).log_in(ANN).get("/ui/workers", {"Accept": PAGE_VIEW})
    assert refused.status_code == 403
    assert "oversee" in refused.text


@of_a_fleet
def test_the_page_is_in_the_navigation_for_those_who_may_see_it(fleet_app: Flask) -> None:
    assert "Workers" in Browser(fleet_app).log_in(EVE).get("/", {"Accept": PAGE_VIEW}).text
    assert "Workers" not in Browser(fleet_app).log_in(ANN).get("/", {"Accept": PAGE_VIEW}).text


@of_a_fleet
def test_without_workers_it_says_how_to_start_one(fleet_app: Flask) -> None:
    assert "python -m jobsvc worker" in words(shown(fleet_app, EVE))


@of_a_fleet
def test_a_worker_is_alive_late_or_silent(fleet_app: Flask, database: Database) -> None:
    add(database, "quick")
    add(database, "slow", silent=40)
    add(database, "gone", silent=3700)
    text = words(shown(fleet_app, EVE))
    assert "2 workers alive · 0 of 4 slots used" in text
    assert re.search(r"quick alive .* a moment ago", text)
    assert re.search(r"slow late .* 4\d s ago", text)
    assert re.search(r"gone silent No heartbeat for 1 h 1 min\. Its jobs go on in another worker", text)
    assert "No worker is alive" not in text


@of_a_fleet
def test_if_none_is_alive_it_says_so(fleet_app: Flask, database: Database) -> None:
    add(database, "gone", silent=100)
    assert "No worker is alive." in words(shown(fleet_app, EVE))


@of_a_fleet
def test_kinds_that_no_living_worker_takes_are_named(fleet_app: Flask, database: Database) -> None:
    add(database, "one", queues=["bulkTeam", "gated"])
    add(database, "gone", silent=100, queues=["createExport"])
    text = words(shown(fleet_app, EVE))
    assert "No worker takes jobs of the kinds baselineCSV , createExport : they wait." in text
    assert re.search(r"one alive .* Kinds bulkTeam gated ", text)
    add(database, "all")
    assert "No worker takes" not in words(
        Browser(fleet_app).log_in(EVE).get("/ui/workers", {"Accept": PAGE_VIEW, "X-Fresh": "1"}).text
    )


@of_a_fleet
def test_names_with_html_show_as_text(fleet_app: Flask, database: Database) -> None:
    add(database, ODD_NAME, host=ODD_NAME, queues=[ODD_NAME])
    html = shown(fleet_app, EVE)
    assert ODD_NAME not in html
    assert html.count(str(escape(ODD_NAME))) >= 3
