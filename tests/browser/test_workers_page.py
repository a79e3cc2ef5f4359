"""The page of workers, in a browser, beside a real fleet."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.support.chromium import Watched, assert_accessible
from tests.support.databases import postgresql
from tests.support.fleet import FAST, Fleet, closing_fleet

PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """With a web server, and no worker."""
    with (
        postgresql() as url,
        closing_fleet(Fleet(tmp_path_factory.mktemp("fleet") / "one", url, **FAST)) as found,
    ):
        found.start_web()
        yield found


def assert_accessible_in_all_colours(page: Page) -> None:
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert_accessible(page)


def test_the_page_follows_a_worker_from_its_start_to_its_end(open_page: Callable[..., Watched], fleet: Fleet) -> None:
    page = open_page(fleet.webs[0].url).page
    page.goto("/")
    page.get_by_role("link", name="Workers").click()
    expect(page.get_by_role("heading", name="There is no worker")).to_be_visible()
    assert_accessible_in_all_colours(page)
    worker = fleet.start_worker(concurrency=3)
    job_id = fleet.ticks(100_000)
    card = page.locator(".worker").filter(has_text=worker.name)
    expect(card).to_contain_text("1 of 3 slots used")
    expect(card.locator(f"[id='job-{job_id}'] .badge")).to_have_text("running")
    assert_accessible_in_all_colours(page)
    worker.signal(signal.SIGSTOP)
    expect(card.locator(".head .badge")).to_have_text("silent")
    expect(page.get_by_text("No worker is alive.")).to_be_visible()
    assert_accessible_in_all_colours(page)
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    card.locator(f"[id='job-{job_id}'] a").click()
    page.wait_for_url(f"**{job_id}")
