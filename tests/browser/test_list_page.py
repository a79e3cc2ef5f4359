"""The list of jobs, in a browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support.chromium import Watched, assert_accessible
from tests.support.server import Server

ODD_NAME = '<img src=x onerror=alert(1)> "a" & שלום.csv'


def start_ticks(server: Server, count: int = 100_000) -> str:
    """A job that runs until it is stopped."""
    status, job = server.post("/kinds/ticks/jobs", {"count": count})
    assert status == 201, job
    return str(job["id"])


def row_of(page: Page, job_id: str) -> Locator:
    return page.locator(f"[id='job-{job_id}']")


def test_a_job_is_paused_and_resumed_by_its_buttons_and_the_page_follows(page: Page, server: Server) -> None:
    job_id = start_ticks(server)
    page.goto("/")
    row = row_of(page, job_id)
    expect(row.locator(".badge")).to_have_text("running")
    row.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("status")).to_have_text("The job is paused.")
    expect(row.locator(".badge")).to_have_text("paused")
    assert server.job(job_id)["state"] == "paused"
    row.get_by_role("button", name="Resume").click()
    expect(row.locator(".badge")).to_have_text("running")
    assert_accessible(page)
    server.post(f"/jobs/{job_id}/terminate")
    expect(row.locator(".badge")).to_have_text("terminated")


def test_terminating_asks_first(page: Page, server: Server) -> None:
    job_id = start_ticks(server)
    page.goto("/")
    row = row_of(page, job_id)
    row.get_by_role("button", name="Terminate").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("can't be resumed")
    assert_accessible(page)
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_be_hidden()
    assert server.job(job_id)["state"] == "running"
    row.get_by_role("button", name="Terminate").click()
    dialog.get_by_role("button", name="Terminate").click()
    expect(row.locator(".badge")).to_have_text("terminated")


def test_names_with_html_show_as_text(page: Page, server: Server) -> None:
    answer = httpx.post(f"{server.url}/uploadCSV", files={"file": (ODD_NAME, b"a,b\n1,2\n")})
    job_id = answer.json()["Job ID"]
    server.wait_for(job_id, "succeeded")
    page.goto("/")
    expect(row_of(page, job_id).locator("th")).to_contain_text(ODD_NAME)
    expect(row_of(page, job_id).locator("bdi").first).to_have_css("unicode-bidi", "isolate")
    assert page.locator("table img").count() == 0


def test_without_script_a_job_is_paused_and_the_page_says_so(open_page: Callable[..., Watched], server: Server) -> None:
    job_id = start_ticks(server)
    watched = open_page(java_script_enabled=False)
    watched.allow("409")
    page = watched.page
    page.goto("/?kind=ticks")
    row_of(page, job_id).get_by_role("button", name="Pause").click()
    expect(page.locator("#messages")).to_have_text("The job is paused.")
    assert page.url.endswith("/?kind=ticks&said=job.pause")
    expect(row_of(page, job_id).locator(".badge")).to_have_text("paused")
    server.post(f"/jobs/{job_id}/terminate")
    row_of(page, job_id).get_by_role("button", name="Resume").click()
    expect(page.get_by_role("heading")).to_have_text("The state of the job does not allow this")
    page.get_by_role("link", name="Back").click()
    expect(row_of(page, job_id).locator(".badge")).to_have_text("terminated")


def test_a_filter_stands_in_the_address_and_finds_what_it_says(page: Page, server: Server) -> None:
    status, job = server.post("/kinds/ticks/jobs", {"count": 1})
    assert status == 201
    server.wait_for(str(job["id"]), "succeeded")
    page.goto("/?state=succeeded")
    page.get_by_label("Kind").select_option("bulkTeam")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_role("heading", name="No job is like that")).to_be_visible()
    assert "state=succeeded" in page.url
    assert "kind=bulkTeam" in page.url
    page.get_by_label("Kind").select_option("ticks")
    page.get_by_label("Text").fill(job["id"][-9:])
    page.get_by_role("button", name="Filter").click()
    expect(row_of(page, job["id"])).to_be_visible()
    assert page.locator("tbody tr").count() == 1
    page.get_by_role("link", name="not finished").click()
    expect(page.get_by_role("heading", name="No job is like that")).to_be_visible()
    assert page.get_by_label("Kind").input_value() == "ticks"
    assert_accessible(page)


def test_a_running_job_has_a_small_line_of_its_rates(page: Page, server: Server) -> None:
    job_id = start_ticks(server)
    page.goto(f"/?text={job_id}")
    expect(row_of(page, job_id).locator(".spark polyline")).to_have_attribute("points", re.compile(r"^0\.0,.* 120\.0,"))
    server.post(f"/jobs/{job_id}/terminate")
    expect(row_of(page, job_id).locator(".spark")).to_have_count(0)


def test_several_jobs_are_ticked_and_asked_at_once(page: Page, server: Server) -> None:
    running = [start_ticks(server) for _ in range(2)]
    done = str(server.post("/kinds/ticks/jobs", {"count": 1})[1]["id"])
    server.wait_for(done, "succeeded")
    page.goto("/?kind=ticks")
    bar = page.get_by_role("region", name="Selected jobs")
    expect(bar).to_be_hidden()
    for job_id in (*running, done):
        row_of(page, job_id).get_by_role("checkbox").check()
    expect(bar).to_contain_text("3 jobs selected")
    bar.get_by_role("button", name="Pause 2").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("The other 1 can't be asked that")
    dialog.get_by_role("button", name="Pause 2 jobs").click()
    expect(page.get_by_role("status")).to_have_text("Pause: asked of 2 jobs.")
    for job_id in running:
        server.wait_for(job_id, "paused")
        expect(row_of(page, job_id).locator(".badge")).to_have_text("paused")
        server.post(f"/jobs/{job_id}/terminate")
    expect(bar).to_be_hidden()


def test_what_is_ticked_typed_and_in_focus_stays_while_the_list_is_renewed(page: Page, server: Server) -> None:
    job_id = start_ticks(server)
    page.goto("/?kind=ticks")
    row_of(page, job_id).get_by_role("checkbox").check()
    page.get_by_label("Text").fill("half a wo")
    page.get_by_label("Text").focus()
    server.post(f"/jobs/{job_id}/pause")
    expect(row_of(page, job_id).locator(".badge")).to_have_text("paused")
    expect(row_of(page, job_id).get_by_role("checkbox")).to_be_checked()
    expect(page.get_by_label("Text")).to_have_value("half a wo")
    expect(page.get_by_label("Text")).to_be_focused()
    row_of(page, job_id).get_by_role("button", name="Resume").focus()
    server.post(f"/jobs/{job_id}/terminate")
    expect(row_of(page, job_id).locator(".badge")).to_have_text("terminated")


@pytest.mark.parametrize("with_script", [True, False])
def test_all_jobs_that_a_filter_finds_are_paused_once_it_is_said_how_many(
    open_page: Callable[..., Watched], server: Server, with_script: bool
) -> None:
    running = [start_ticks(server) for _ in range(2)]
    page = open_page(java_script_enabled=with_script).page
    page.goto("/?kind=ticks&state=running,queued")
    page.get_by_role("link", name="All of these").click()
    page.get_by_role("link", name="Pause 2").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Pause 2 jobs?")
    if with_script:
        assert_accessible(page)
    page.get_by_role("button", name="Pause 2 jobs").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Pause many jobs")
    for job_id in running:
        server.wait_for(job_id, "paused")
    if not with_script:
        page.reload()
    expect(page.locator(".reasons")).to_contain_text("2 paused")
    if with_script:
        assert_accessible(page)
    for job_id in running:
        server.post(f"/jobs/{job_id}/terminate")


@pytest.mark.parametrize("look", [{"color_scheme": "dark"}, {"viewport": {"width": 360, "height": 740}}])
def test_the_list_is_readable_in_the_dark_and_on_a_phone(
    open_page: Callable[..., Watched], server: Server, look: dict[str, Any]
) -> None:
    long = "a" * 180 + ".csv"
    job_id = httpx.post(f"{server.url}/uploadCSV", files={"file": (long, b"a,b\n1,2\n")}).json()["Job ID"]
    running = start_ticks(server)
    page = open_page(**look).page
    page.goto("/")
    expect(row_of(page, job_id)).to_be_visible()
    width = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert width[0] <= width[1]
    assert_accessible(page)
    server.post(f"/jobs/{running}/terminate")


def test_the_list_is_steered_by_keys_alone(page: Page, server: Server) -> None:
    job_id = start_ticks(server)
    page.goto(f"/?text={job_id}")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.ariaLabel || ''").startswith("Pause"):
            break
    page.keyboard.press("Enter")
    expect(row_of(page, job_id).locator(".badge")).to_have_text("paused")
    server.post(f"/jobs/{job_id}/terminate")
