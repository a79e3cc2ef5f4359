"""Pages of jobs, as a browser gets them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask

from tests.support.browser import PAGE_VIEW, Browser

Look = Callable[..., str]
"""The text of a job's page, or of another page of the job's: `look(job_id, "/terminate")`."""


@pytest.fixture
def browser(app: Flask) -> Browser:
    return Browser(app)


@pytest.fixture
def look(browser: Browser) -> Look:
    def found(job_id: str, more: str = "") -> str:
        answer = browser.get(f"/ui/jobs/{job_id}{more}", {"Accept": PAGE_VIEW})
        assert answer.status_code == 200, answer.text
        return answer.text

    return found
