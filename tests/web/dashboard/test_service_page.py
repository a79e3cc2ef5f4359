"""The page of the service: what it tells, to whom, and no secret."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import make_url

from jobsvc.access.key_ring import KeyRing
from jobsvc.process.app import create_app
from jobsvc.service.monitoring import cached
from jobsvc.service.monitoring.disks import Disk
from jobsvc.service.monitoring.overview import Rate
from jobsvc.web.dashboard import service_page
from jobsvc.web.dashboard.charting import HEIGHT, WIDTH, chart
from tests.conftest import WholeAnswers
from tests.support.browser import PAGE_VIEW, Browser
from tests.support.gated import Gated
from tests.support.requests import held, submit_gated

ANN, EVE = (f"key-of-{name}-{'0' * 16}" for name in ("ann", "eve"))


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every page is of now."""
    monkeypatch.setattr(cached, "FRESH_SECONDS", 0.0)


def shown(app: Flask, key: str = "") -> str:
    browser = Browser(app)
    if key:
        browser.log_in(key)
    answer = browser.get("/ui/service", {"Accept": PAGE_VIEW, "X-Fresh": "1"})
    assert answer.status_code == 200, answer.text
    return answer.text


def words(html: str) -> str:
    """What stands on the page, with single spaces."""
    return " ".join(re.sub(r"<[^>]+>", " ", html.partition("<main")[2]).split())


def test_it_tells_slots_queue_and_jobs_and_links_to_them(make_app: Callable[..., Flask], gated: Gated) -> None:
    app = make_app(max_running=1)
    text = words(shown(app))
    assert "Ready." in text
    assert "Slots 0 of 1 used 1 free" in text
    held(app.extensions["jobsvc"], gated)
    submit_gated(app.extensions["jobsvc"])
    html = shown(app)
    text = words(html)
    assert "Slots 1 of 1 used 0 free" in text
    assert "Queue 1 waits 0 paused" in text
    assert "queued 1 running 1 pausing 0" in text
    assert 'href="/?state=queued"' in html


def test_those_who_may_oversee_see_it_and_others_are_told_why_not(make_app: Callable[..., Flask]) -> None:
    app = make_app(api_keys=KeyRing.read(f"ann:{ANN}:user,eve:{EVE}:viewer"))
    assert "Slots" in words(shown(app, EVE))
    assert 'href="/ui/service"' in Browser(app).log_in(EVE).get("/", {"Accept": PAGE_VIEW}).text
    browser = Browser(app).log_in(ANN)
    assert 'href="/ui/service"' not in browser.get("/", {"Accept": PAGE_VIEW}).text
    refused = browser.get("/ui/service", {"Accept": PAGE_VIEW})
    assert refused.status_code == 403
    assert "Settings" not in refused.text


def test_settings_say_their_value_and_where_it_comes_from(make_app: Callable[..., Flask]) -> None:
    rows = dict(re.findall(r"<code>([A-Z_]+)</code></th>(.*?)</tr>", shown(make_app(max_queued=7)), re.DOTALL))
    told = {name: " ".join(re.sub(r"<[^>]+>", " ", row).split()) for name, row in rows.items()}
    assert told["JOBSVC_MAX_QUEUED"] == "7 the program that starts the service"
    assert told["JOBSVC_MAX_CRASHES"] == "5 default"
    assert told["JOBSVC_API_KEYS"] == "empty default"


@pytest.mark.both_databases
@pytest.mark.postgresql_only
@pytest.mark.parametrize("where", ["the password", "the query"])
def test_no_secret_is_shown(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    url = make_url(database_url)
    url = url.set(password="hush-pw") if where == "the password" else url.update_query_dict({"password": "hush-pw"})
    for name, value in {
        "JOBSVC_DATA_DIR": str(tmp_path / "data"),
        "JOBSVC_MIN_FREE_BYTES": "0",
        "DATABASE_URL": url.render_as_string(hide_password=False),
        "JOBSVC_API_KEYS": f"eve:{EVE}:viewer",
        "JOBSVC_WEBHOOK_SECRET": "whsec_" + "aHVzaC1odXNoLWh1c2gtaHVzaC1odXNo",
    }.items():
        monkeypatch.setenv(name, value)
    # Where there is no .env.
    monkeypatch.chdir(tmp_path)
    app = create_app(own_process=False)
    app.test_client_class = WholeAnswers
    try:
        html = shown(app, EVE)
    finally:
        app.extensions["jobsvc"].close()
    assert not re.search("hush-pw|aHVzaC1|" + EVE, html)
    assert html.count("</svg>set</span>") == 2
    assert "…" in html
    assert "environment" in words(html)


def test_a_service_that_is_not_ready_says_why(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    details = app.extensions["jobsvc"].details
    monkeypatch.setattr(details, "_not_ready", lambda: "<b>the database</b> does not answer")
    text = shown(app)
    assert "Not ready. It takes no work at the moment: &lt;b&gt;the database" in words(text)
    assert "<b>" not in text
    assert "Ready." not in words(text).replace("Not ready.", "")


@pytest.mark.parametrize(
    ("free", "said"),
    [(5_000, "4.9 KiB are to stay free."), (9_000, "Nearly full: 4.9 KiB"), (4_999, "Full: 4.9 KiB"), (10_000, "")],
)
def test_a_disk_that_fills_up_is_told(
    make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch, free: int, said: str
) -> None:
    app = make_app()
    monkeypatch.setattr(app.extensions["jobsvc"].details, "_least_free", 5_000)
    monkeypatch.setattr("jobsvc.service.monitoring.details.look", lambda _: [Disk("files", free, 100_000)])
    text = words(shown(app))
    assert said in text
    assert ("Full" in text, "Nearly full" in text) == (free < 5_000, 5_000 <= free < 10_000)


def test_the_throughput_is_told_by_the_minute_too() -> None:
    first = datetime(2026, 1, 1, tzinfo=UTC)
    rates = [Rate(first + timedelta(seconds=5 * index), float(index)) for index in range(24)]
    assert service_page.minutes(rates) == [(1, 17.5, 23.0), (2, 5.5, 11.0)]
    assert service_page.minutes([]) == []


@pytest.mark.parametrize("values", [[], [3.0], [0.0, 0.0], [0.0, 10.0, 5.0]])
def test_a_chart_stays_within_its_edges(values: list[float]) -> None:
    made = chart(values)
    points = [tuple(map(float, point.split(","))) for point in made.line.split()]
    assert len(points) == len(values)
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)
    if len(values) == 3:
        assert points[1][1] < points[2][1] < points[0][1] == HEIGHT
