"""A real browser: Chromium, driven by Playwright, and pages that fail a test when anything goes wrong in them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""The first is Chromium without what draws windows: it takes half of the processor's time."""

WAIT_MS = 30_000
"""How long a page waits for what a test expects. A machine may be busy."""

_TELL_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy violated: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));
"""

AXE_RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


def find_chromium() -> str | None:
    """The path of a browser on this machine; None if there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window, with a fresh profile. Playwright's event loop occupies the thread meanwhile."""
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


class Watched:
    """A page, and what went wrong in it: violations of the policy, errors in its scripts and on its console."""

    def __init__(self, browser: Browser, base_url: str, **context: Any) -> None:
        self._context = browser.new_context(base_url=base_url, **context)
        self._context.set_default_timeout(WAIT_MS)
        self._context.add_init_script(_TELL_VIOLATIONS)
        self.page: Page = self._context.new_page()
        self.wrong: list[str] = []
        self._allowed: list[re.Pattern[str]] = []
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.wrong.append(f"error in a script: {error}"))

    def _note(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.wrong.append(f"{message.text} ({message.location.get('url')})")

    def allow(self, pattern: str) -> None:
        """Expect such a line on the console: the browser itself writes one about each answer that is a refusal."""
        self._allowed.append(re.compile(pattern))

    def close(self) -> None:
        """Raises AssertionError if anything went wrong."""
        self._context.close()
        found = [line for line in self.wrong if not any(pattern.search(line) for pattern in self._allowed)]
        assert found == [], "\n".join(found)


def assert_accessible(page: Page) -> None:
    """Fails if axe-core finds a violation in the page as it is now."""
    found = Axe().run(page, options={"resultTypes": ["violations"], **AXE_RULES})
    assert found.violations_count == 0, found.generate_report()
