"""Real browsers against real servers. Where there is no Chromium, these tests are skipped, and say so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.support.chromium import Watched, chromium, find_chromium
from tests.support.server import Server

KINDS = ",".join(
    (
        "tests.support.ticks:Ticks",  # whose jobs last as long as a test likes
        "tests.support.own_form:Badges",  # whose parameters are of all sorts
        "tests.support.own_form:Report",
    )
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if find_chromium() is None:
        skip = pytest.mark.skip(reason="there is no Chromium: apt-get install chromium-headless-shell")
        for item in items:
            if item.path.is_relative_to(__file__.rpartition("/")[0]):
                item.add_marker(skip)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Of the module, and not of the whole session: its event loop would be in the way of others."""
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for all tests of a module, without keys, with kinds of its own: see `KINDS`."""
    made = Server(tmp_path_factory.mktemp("served") / "data", JOBSVC_KINDS=KINDS, JOBSVC_MAX_RUNNING="4")
    try:
        yield made.start()
    finally:
        made.kill()


@pytest.fixture
def open_page(browser: Browser, server: Server) -> Iterator[Callable[..., Watched]]:
    """Opens pages, each in a browser of its own; at the end the test fails if anything went wrong in one."""
    opened: list[Watched] = []

    def open_one(base_url: str = "", **context: Any) -> Watched:
        opened.append(Watched(browser, base_url or server.url, **context))
        return opened[-1]

    yield open_one
    for watched in opened:
        watched.close()


@pytest.fixture
def watched(open_page: Callable[..., Watched]) -> Watched:
    return open_page()


@pytest.fixture
def page(watched: Watched) -> Page:
    return watched.page
