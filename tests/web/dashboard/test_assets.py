"""The files of the pages: kept by browsers, as they came, and no others."""

from __future__ import annotations

import re
from hashlib import sha512

import pytest
from flask.testing import FlaskClient

from jobsvc.web.dashboard.assets import ASSETS, FILES, TYPES, VERSION
from tests.support.requests import assert_problem

VENDOR = ASSETS / "vendor"
PAGES = ASSETS.parent / "dashboard"


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_file_is_kept_for_good_at_the_address_of_its_version(shared_client: FlaskClient, name: str) -> None:
    answer = shared_client.get(f"/assets/{VERSION}/{name}")
    assert answer.data == FILES[name].read_bytes()
    assert answer.mimetype == TYPES.get(FILES[name].suffix, "text/plain")
    assert "immutable" in answer.headers["Cache-Control"]
    assert "no-cache" not in answer.headers["Cache-Control"]
    again = shared_client.get(f"/assets/{VERSION}/{name}", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_a_file_of_another_version_is_not_kept(shared_client: FlaskClient) -> None:
    answer = shared_client.get("/assets/0123456789abcdef/base.css")
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("name", ["VENDORED.md", "..", "%2e%2e%2fbase.css", "vendor"])
def test_no_other_file_is_served(shared_client: FlaskClient, name: str) -> None:
    assert_problem(shared_client.get(f"/assets/{VERSION}/{name}"), 404)


def test_no_two_files_have_one_name() -> None:
    assert len(FILES) == len([path for path in ASSETS.rglob("*") if path.is_file() and "VENDORED" not in path.name])


def test_the_files_of_others_are_as_they_came() -> None:
    listed = dict(reversed(line.split()) for line in (VENDOR / "VENDORED.sha512").read_text().splitlines())
    assert set(listed) == {path.name for path in VENDOR.iterdir()} - {"VENDORED.md", "VENDORED.sha512"}
    assert {name: sha512((VENDOR / name).read_bytes()).hexdigest() for name in listed} == listed


def test_every_icon_that_a_page_or_the_code_names_is_there() -> None:
    there = set(re.findall(r'<symbol id="([\w-]+)"', (VENDOR / "icons.svg").read_text()))
    used = {name for path in PAGES.rglob("*.html") for name in re.findall(r'icon\("([\w-]+)"\)', path.read_text())}
    assert used
    assert used <= there


def test_pages_have_no_styles_or_scripts_in_them_which_the_policy_forbids() -> None:
    for path in PAGES.rglob("*.html"):
        text = path.read_text()
        assert re.findall(r"\sstyle=|\son\w+=|<style|<script(?![^>]*\ssrc=)", text) == [], path


def test_every_template_of_a_page_can_be_read(shared_client: FlaskClient) -> None:
    for path in PAGES.rglob("*.html"):
        shared_client.application.jinja_env.get_template(f"dashboard/{path.relative_to(PAGES)}")
