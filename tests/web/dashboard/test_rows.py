"""Rows of the list are made anew when their job is another one, and for other eyes."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import pytest
from flask import Flask

from jobsvc.access.key_ring import KeyRing
from jobsvc.web.dashboard import list_page
from jobsvc.web.dashboard.rows import Rows
from tests.support.browser import PAGE_VIEW, Browser
from tests.support.requests import submit_gated
from tests.support.waiting import Commits

ANN, EVE, OPAL = (f"key-of-{name}-{'0' * 16}" for name in ("ann", "eve", "opal"))


def rows_of(browser: Browser) -> str:
    answer = browser.get("/", {"Accept": PAGE_VIEW, "X-Fresh": "1"})
    assert answer.status_code == 200, answer.text
    return answer.text.partition("<tbody>")[2].partition("</tbody>")[0]


def test_a_row_is_made_once_as_long_as_its_job_stays_the_same_and_anew_when_it_changes(
    app: Flask, commits: Commits, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    render = list_page._rendered
    monkeypatch.setattr(list_page, "_rendered", lambda job, rates: made.append(job.id) or render(job, rates))
    browser = Browser(app)
    job_id = browser.post("/uploadCSV", data={"file": (io.BytesIO(b"a,b\n1,2\n"), "one.csv")}).get_json()["Job ID"]
    commits.wait_for(lambda: browser.get(f"/jobs/{job_id}").get_json()["state"] == "succeeded", "the job to end")
    first = rows_of(browser)
    assert rows_of(browser) == first
    assert made[-1:] == [job_id]
    assert len(made) == 1
    assert browser.post(f"/jobs/{job_id}/rollback").status_code == 200
    last = rows_of(browser)
    assert ("</svg>rolled back" in first, "</svg>rolled back" in last) == (False, True)
    assert len(made) == 2


def test_others_have_rows_of_their_own(make_app: Callable[..., Flask]) -> None:
    app = make_app(api_keys=KeyRing.read(f"ann:{ANN}:user,eve:{EVE}:viewer,opal:{OPAL}:operator"))
    submit_gated(app.extensions["jobsvc"], user="ann")
    buttons = {key: len(re.findall("<button", rows_of(Browser(app).log_in(key)))) for key in (OPAL, ANN, EVE)}
    assert buttons[EVE] == 0
    assert buttons[OPAL] == buttons[ANN] > 0
    assert 'class="user"' in rows_of(Browser(app).log_in(OPAL))
    assert 'class="user"' not in rows_of(Browser(app).log_in(ANN))


def test_no_more_than_so_many_are_kept_those_that_were_shown_last() -> None:
    rows = Rows(many=2)
    for key in ("a", "b", "a", "c"):
        rows.get(key, lambda key=key: f"first {key}")
    assert [rows.get(key, lambda: "anew") for key in ("a", "c", "b")] == ["first a", "first c", "anew"]
