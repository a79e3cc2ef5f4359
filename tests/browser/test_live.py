"""Pages keep up with the service: cheaply, and through its absence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_list_page import row_of, start_ticks
from tests.support.chromium import Watched
from tests.support.server import Server

GONE = "Failed to load resource: net::ERR"


def test_a_server_that_is_lost_is_told_and_the_page_mends_itself(
    open_page: Callable[..., Watched], make_server: Callable[..., Server]
) -> None:
    server = make_server().start()
    watched = open_page(server.url)
    watched.allow(GONE)
    watched.allow("503")
    page = watched.page
    page.goto("/")
    lost = page.get_by_role("alert")
    expect(lost).to_be_hidden()
    server.kill()
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(lost).to_contain_text("The service does not answer")
    server.start()
    expect(lost).to_be_hidden(timeout=45_000)


def test_what_is_the_same_is_not_sent_again(page: Page, server: Server) -> None:
    page.goto("/?state=failed")
    statuses: list[int] = []
    page.on("response", lambda answer: statuses.append(answer.status) if "live=1" in answer.url else None)
    for _ in range(2):
        with page.expect_response(lambda answer: "live=1" in answer.url):
            page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    assert statuses == [304, 304]


def test_a_hidden_tab_asks_for_nothing_and_catches_up_when_it_is_shown(page: Page, server: Server) -> None:
    job_id = start_ticks(server)
    page.clock.install()
    page.goto("/")
    expect(row_of(page, job_id).locator(".badge")).to_have_text("running")
    page.evaluate(
        "Object.defineProperty(document, 'hidden', {get: () => window.isHidden === true});"
        "window.isHidden = true; document.dispatchEvent(new Event('visibilitychange'))"
    )
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    server.post(f"/jobs/{job_id}/terminate")
    page.clock.run_for(120_000)
    assert asked == []
    # What a button asks for is answered in a hidden tab too, and no more than that.
    with page.expect_response(lambda answer: "live=1" in answer.url) as renewed:
        page.evaluate("import(document.querySelector('script[src*=live]').src).then((live) => live.refresh())")
    renewed.value.finished()
    page.clock.run_for(120_000)
    assert len(asked) == 1
    page.evaluate("window.isHidden = false; document.dispatchEvent(new Event('visibilitychange'))")
    expect(row_of(page, job_id).locator(".badge")).to_have_text("terminated")


def test_open_details_stay_open_while_the_page_is_renewed(page: Page, server: Server) -> None:
    job_id = start_ticks(server)
    page.goto("/ui/service")
    details = page.locator("[data-live] details").first
    details.locator("summary").click()
    with page.expect_response(lambda answer: "live=1" in answer.url and answer.status == 200) as renewed:
        pass
    renewed.value.finished()
    expect(page.locator("[data-live] time, [data-live]").first).to_be_visible()
    page.evaluate("new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))")
    assert details.evaluate("(found) => found.open")
    server.post(f"/jobs/{job_id}/terminate")


def test_two_people_see_what_one_of_them_does(open_page: Callable[..., Watched], server: Server) -> None:
    job_id = start_ticks(server)
    ann, bob = open_page().page, open_page().page
    ann.goto("/")
    bob.goto("/")
    row_of(ann, job_id).get_by_role("button", name="Pause").click()
    expect(row_of(bob, job_id).locator(".badge")).to_have_text("paused")
    server.post(f"/jobs/{job_id}/terminate")
    expect(row_of(ann, job_id).locator(".badge")).to_have_text("terminated")


def test_a_refusal_is_told_in_words(open_page: Callable[..., Watched], server: Server) -> None:
    job_id = start_ticks(server)
    watched = open_page()
    watched.allow("409")
    page = watched.page
    # A hidden tab does not hear that the job has ended meanwhile.
    page.add_init_script("Object.defineProperty(document, 'hidden', {get: () => true})")
    page.goto(f"/?text={job_id}")
    server.post(f"/jobs/{job_id}/terminate")
    row_of(page, job_id).get_by_role("button", name="Pause").click()
    expect(page.get_by_role("status")).to_contain_text("can't be paused")
    expect(row_of(page, job_id).locator(".badge")).to_have_text("terminated")


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/Lima"])
def test_moments_are_in_the_zone_of_whoever_looks(
    open_page: Callable[..., Watched], server: Server, zone: str, tmp_path: Path
) -> None:
    job_id = start_ticks(server, 1)
    page = open_page(timezone_id=zone, locale="en-GB").page
    page.goto("/")
    shown = row_of(page, job_id).locator("time")
    moment = shown.get_attribute("datetime")
    expected = page.evaluate("([at, timeZone]) => new Date(at).toLocaleTimeString('en-GB', {timeZone})", [moment, zone])
    expect(shown).to_have_text(expected)
