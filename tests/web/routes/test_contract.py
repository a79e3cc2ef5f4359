"""The contract, and its page: which needs nothing from elsewhere, and keeps to the strict policy."""

from __future__ import annotations

import re
from hashlib import sha512
from html.parser import HTMLParser
from urllib.parse import urljoin

import pytest
from flask.testing import FlaskClient

from jobsvc.web.routes.contract import FILES, PAGES
from tests.support.requests import assert_problem

OURS = {"page.html", "page.css", "page.js", "VENDORED.md", "VENDORED.sha512"}


class Page(HTMLParser):
    """The addresses that a page names, and what stands in it that the policy forbids."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.forbidden: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        self.addresses += [value or "" for name, value in attributes if name in ("src", "href")]
        self.forbidden += [f"{tag} {name}" for name, _ in attributes if name == "style" or name.startswith("on")]

    def handle_data(self, data: str) -> None:
        if self._inside in ("script", "style") and data.strip():
            self.forbidden.append(f"{self._inside}: {data}")


def test_the_contract_is_the_same_for_all_who_ask(shared_client: FlaskClient) -> None:
    first, second = shared_client.get("/openapi.json"), shared_client.get("/openapi.json")
    assert first.mimetype == "application/json"
    assert first.data == second.data


def test_the_page_has_all_it_needs_from_here_and_nothing_that_the_policy_forbids(shared_client: FlaskClient) -> None:
    answer = shared_client.get("/docs")
    assert answer.mimetype == "text/html"
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert set(re.findall(r"[^\s;]+:", policy)) == {"data:"}
    page = Page(answer.text)
    assert page.forbidden == []
    found = [address for address in page.addresses if address != "data:,"]
    assert len(found) >= 5
    for address in found:
        assert shared_client.get(urljoin("/docs", address)).status_code == 200, address


@pytest.mark.parametrize("name", FILES)
def test_the_files_of_the_page_are_kept_by_browsers_and_asked_for_anew(shared_client: FlaskClient, name: str) -> None:
    answer = shared_client.get(f"/docs/{name}")
    assert answer.data == (PAGES / name).read_bytes()
    assert answer.mimetype == FILES[name]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    again = shared_client.get(f"/docs/{name}", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_no_other_file_is_served(shared_client: FlaskClient) -> None:
    assert (PAGES / "VENDORED.md").exists()
    for name in ("VENDORED.md", "page.html", "..", "%2e%2e%2fpage.py"):
        assert_problem(shared_client.get(f"/docs/{name}"), 404)


def test_the_files_of_others_are_as_they_came() -> None:
    listed = dict(reversed(line.split()) for line in (PAGES / "VENDORED.sha512").read_text().splitlines())
    assert set(listed) == {path.name for path in PAGES.iterdir()} - OURS
    assert {name: sha512((PAGES / name).read_bytes()).hexdigest() for name in listed} == listed


def test_a_condition_that_failed_is_a_problem_and_not_what_was_not_to_be_sent(shared_client: FlaskClient) -> None:
    found = assert_problem(shared_client.get("/docs", headers={"If-Match": '"another"'}), 412)
    assert "If-Match" in found["detail"]
