"""The page of the service, in a browser."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.test_list_page import start_ticks
from tests.support.chromium import assert_accessible
from tests.support.server import Server

PHONE = {"width": 360, "height": 740}


def test_the_page_follows_what_the_service_does(page: Page, server: Server) -> None:
    page.goto("/")
    page.get_by_role("link", name="Service").click()
    expect(page.get_by_text("Ready.")).to_be_visible()
    slots = page.locator(".tile").filter(has_text="Slots")
    expect(slots).to_contain_text("0 of 4 used")
    page.get_by_text("As a table").click()
    minutes = page.locator(".throughput table")
    expect(minutes.get_by_role("row")).to_have_count(11)
    job_id = start_ticks(server)
    expect(slots).to_contain_text("1 of 4 used")
    # Some seconds later, when the job has told of its items. What was opened stays so.
    expect(minutes.get_by_role("row").nth(1)).not_to_contain_text("0.0/s")
    expect(minutes).to_be_visible()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert_accessible(page)
    page.set_viewport_size(PHONE)
    assert_accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    slots.get_by_role("link").click()
    expect(page.locator(f"[id='job-{job_id}']")).to_be_visible()
    server.post(f"/jobs/{job_id}/terminate")


def test_settings_are_found_by_name_and_value(page: Page) -> None:
    page.goto("/ui/service")
    rows = page.locator("#settings tbody tr:visible")
    everything = rows.count()
    page.get_by_role("searchbox", name="Name or value").fill("jobsvc_max_run")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("JOBSVC_MAX_RUNNING")
    page.get_by_role("searchbox", name="Name or value").fill("ticks:TICKS")
    expect(rows).to_contain_text("JOBSVC_KINDS")
    page.get_by_role("searchbox", name="Name or value").fill("no such")
    expect(page.get_by_text("No setting is like that.")).to_be_visible()
    assert_accessible(page)
    page.get_by_role("searchbox", name="Name or value").fill("")
    page.get_by_label("only those that are not the default").check()
    expect(page.get_by_text("No setting is like that.")).to_be_hidden()
    assert 3 <= rows.count() < everything
    assert "JOBSVC_HEARTBEAT" not in " ".join(rows.all_inner_texts())
