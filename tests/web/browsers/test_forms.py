"""What a form of a page is answered in a browser without script; programs get what they always got."""

from __future__ import annotations

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from jobsvc.store.database import Database
from jobsvc.web.services import Services
from tests.support.audit_lines import lines_of
from tests.support.browser import PAGE_VIEW, Browser
from tests.support.gated import Gated
from tests.support.waiting import Commits


@pytest.fixture
def browser(app: Flask) -> Browser:
    return Browser(app)


@pytest.fixture
def job_id(app: Flask, gated: Gated) -> str:
    """A job that is in the middle of an item."""
    answer = app.test_client().post("/kinds/gated/jobs", json={"count": 3})
    gated.gate.wait_reached(1)
    return str(answer.get_json()["id"])


def send(browser: Browser, path: str, came_from: str = "http://localhost/?state=running", **form: str) -> TestResponse:
    headers = {"Sec-Fetch-Site": "same-origin", "Accept": PAGE_VIEW, "Referer": came_from}
    return browser.post(path, headers, data=form or None)


def test_a_form_leads_back_to_its_page_which_tells_the_outcome(browser: Browser, job_id: str) -> None:
    answer = send(browser, f"/jobs/{job_id}/pause", wait="0")
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/?state=running&said=job.pause.under-way"
    page = browser.get(answer.headers["Location"], {"Accept": PAGE_VIEW})
    assert "The job will pause as soon as the item under way is done." in page.text


def test_the_outcome_of_the_form_before_is_not_told_again(browser: Browser, job_id: str) -> None:
    answer = send(browser, f"/jobs/{job_id}/resume", "http://localhost/?said=job.pause&kind=a%26b")
    assert answer.headers["Location"] == "/?kind=a%26b&said=job.resume"


@pytest.mark.parametrize(
    "came_from",
    [
        "",
        "https://example.org/?a=b",
        "http://localhost/login",
        "http://localhost//example.org/",
        "http://localhost/ui/\\example.org",
        "http://localhost:81/",
        "not a url",
        "http://[",
    ],
)
def test_a_form_leads_nowhere_but_to_a_page_of_ours(browser: Browser, job_id: str, came_from: str) -> None:
    answer = send(browser, f"/jobs/{job_id}/resume", came_from)
    assert answer.headers["Location"] in ("/?said=job.resume", "/ui/%5Cexample.org?said=job.resume")


def test_what_a_page_tells_is_one_of_its_own_texts(browser: Browser) -> None:
    answer = browser.get("/?said=You+have+won", {"Accept": PAGE_VIEW})
    assert (answer.status_code, answer.mimetype) == (400, "text/html")
    assert "You have won" not in answer.text


def test_a_refusal_is_a_page_that_says_why_and_leads_back(browser: Browser, job_id: str) -> None:
    answer = send(browser, f"/jobs/{job_id}/rollback")
    assert (answer.status_code, answer.mimetype) == (409, "text/html")
    assert "running" in answer.text
    assert 'href="/?state=running"' in answer.text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


JAVA = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"
"""What Java's HttpURLConnection says where its program says nothing."""


@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "application/json, text/html;q=0.9", JAVA])
def test_a_program_gets_the_job(browser: Browser, job_id: str, accept: str | None) -> None:
    headers = {"Referer": "http://localhost/", **({"Accept": accept} if accept else {})}
    answer = browser.post(f"/jobs/{job_id}/resume", headers)
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert answer.get_json()["id"] == job_id
    refused = browser.post(f"/jobs/{job_id}/rollback", headers)
    assert (refused.status_code, refused.mimetype) == (409, "application/problem+json")


def test_a_form_of_a_browser_that_says_its_origin_alone_leads_back_too(browser: Browser, job_id: str) -> None:
    headers = {"Origin": "http://localhost", "Accept": PAGE_VIEW, "Referer": "http://localhost/"}
    answer = browser.post(f"/jobs/{job_id}/resume", headers)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/?said=job.resume")


def test_the_original_s_routes_answer_browsers_as_ever(browser: Browser, job_id: str) -> None:
    answer = send(browser, "/updateTask", id=job_id, action="start")
    assert answer.get_json() == {"status": f"Job {job_id} started."}


def test_another_site_s_form_changes_nothing_and_its_user_is_told(browser: Browser, job_id: str) -> None:
    answer = browser.post(f"/jobs/{job_id}/pause", {"Sec-Fetch-Site": "cross-site", "Accept": PAGE_VIEW})
    assert (answer.status_code, answer.mimetype) == (403, "text/html")
    assert browser.get(f"/jobs/{job_id}").get_json()["state"] == "running"


@pytest.mark.parametrize("path", ["/ui/", "/ui/no-such-page"])
def test_an_address_without_a_page_is_told_on_one(browser: Browser, path: str) -> None:
    answer = browser.get(path, {"Accept": PAGE_VIEW})
    assert (answer.status_code, answer.mimetype) == (404, "text/html")
    assert browser.get(path, {"Accept": "*/*"}).mimetype == "application/problem+json"


def test_a_page_for_a_program_that_takes_no_html_says_where_its_answers_are(browser: Browser) -> None:
    answer = browser.get("/", {"Accept": "application/json"})
    assert (answer.status_code, answer.mimetype) == (406, "application/problem+json")
    assert "/jobs" in answer.get_json()["detail"]


def test_the_audit_tells_of_a_refused_form_as_of_any_request(
    browser: Browser, services: Services, commits: Commits
) -> None:
    assert send(browser, "/jobs/no-such-job/pause").status_code == 404
    database = Database(services.settings.url)
    commits.wait_for(lambda: bool(lines_of(database)), "the line")
    (line,) = lines_of(database, action="job.pause")
    assert (line["outcome"], line["problem"], line["status"]) == ("refused", "unknown-job", 404)
