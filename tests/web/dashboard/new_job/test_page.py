"""The page on which a job is begun, as a browser without script has it."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping

import pytest
from flask import Flask
from flask.testing import FlaskClient

from jobsvc.access.key_ring import KeyRing
from jobsvc.access.roles import Role
from tests.support.own_form import Badges, Report
from tests.support.requests import assert_problem

PAGE = {"Accept": "text/html"}

KEYS = {role: f"{role}-" + "k" * 40 for role in Role}

ODD = '"><img src=x onerror=alert(1)>'


@pytest.fixture
def own(make_app: Callable[..., Flask]) -> FlaskClient:
    return make_app(kinds=[Badges(), Report()]).test_client()


def show(client: FlaskClient, query: Mapping[str, str] | None = None, role: Role | None = None) -> str:
    headers = {**PAGE, **({"Authorization": f"Bearer {KEYS[role]}"} if role else {})}
    answer = client.get("/ui/new", query_string=query or {}, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.text


def names(page: str) -> set[str]:
    """The names of all that the form would send."""
    form = page[page.index('<form id="new"') :]
    return set(re.findall(r'<(?:input|select|textarea|button)[^>]*\sname="([^"]+)"', form))


def test_without_a_kind_there_are_all_kinds_with_what_their_authors_say_of_them(own: FlaskClient) -> None:
    page = show(own)
    assert "/ui/new?kind=badges" in page
    assert "Prints a badge for everybody in a CSV." in page
    assert "More of this" not in page
    assert '<form id="new"' not in page


def test_the_form_of_a_kind_has_its_parameters_and_those_of_every_job(own: FlaskClient) -> None:
    own_ones = {"event", "size", "copies", "scale", "with_photo", "printed", "valid_until", "colours", "box"}
    of_files = {"file", "delimiter", "encoding", "quotes", "ragged", "max_failed", "dry_run"}
    page = show(own, {"kind": "badges"})
    assert names(page) == own_ones | of_files | {"priority", "callback_url"}
    assert 'enctype="multipart/form-data"' in page
    assert 'action="/kinds/badges/jobs"' in page


def test_a_kind_without_a_file_has_no_place_for_one_and_no_preview(own: FlaskClient) -> None:
    page = show(own, {"kind": "report"})
    assert names(page) == {"first", "at", "depth", "note", "limits", "priority", "callback_url"}
    assert "multipart" not in page
    assert "data-previews" not in page
    # What its author has written is text.
    assert "&lt;b&gt;none&lt;/b&gt;" in page


def test_what_the_form_sends_is_taken(own: FlaskClient) -> None:
    fields = {"event": "Fair", "size": "large", "colours": '["red", "blue"]', "box": '{"width": 3, "height": "4"}'}
    sent = {**fields, "copies": "2", "scale": "", "valid_until": "", "printed": "false", "with_photo": "true"}
    form = {**sent, "max_failed": "", "file": (io.BytesIO(b"name\nAnn\n"), "people.csv")}
    job = own.post("/kinds/badges/jobs", data={**form, "priority": "normal", "callback_url": ""}).get_json()
    wanted = {"event": "Fair", "size": "large", "copies": 2, "printed": False, "with_photo": True}
    assert wanted.items() <= job["params"].items()
    assert (job["params"]["colours"], job["params"]["box"]) == (["red", "blue"], {"width": 3, "height": 4})


def test_a_form_in_a_browser_ends_at_a_page(own: FlaskClient) -> None:
    form = {"event": "Fair", "file": (io.BytesIO(b"name\nAnn\n"), "people.csv"), "callback_url": ""}
    answer = own.post("/kinds/badges/jobs", data=form, headers={**PAGE, "Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == 303
    assert answer.headers["Location"].endswith("?said=job.create")


def test_what_the_address_says_stands_in_the_form(own: FlaskClient) -> None:
    page = show(own, {"kind": "badges", "event": ODD, "delimiter": "tab", "callback_url": "https://example.com/x"})
    assert "&#34;&gt;&lt;img src=x onerror=alert(1)&gt;" in page
    assert ODD not in page
    assert '<option value="tab" selected>' in page
    assert 'value="https://example.com/x"' in page


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ({"kind": "badges", "colour": "red"}, "colour"),
        ({"event": "Fair"}, "event"),
        ({"kind": "badges", "copies": "many"}, "copies"),
        ({"kind": "badges", "priority": "urgent"}, "priority"),
        ({"kind": "badges", "give": "event"}, "give"),
    ],
)
def test_what_the_address_says_and_no_field_has_is_refused_by_name(
    own: FlaskClient, query: Mapping[str, str], name: str
) -> None:
    problem = assert_problem(own.get("/ui/new", query_string=query), 400, "invalid-parameter")
    assert problem["parameter"] == name


def test_a_kind_that_is_not_there_is_told_on_a_page(client: FlaskClient) -> None:
    answer = client.get("/ui/new?kind=nothing", headers=PAGE)
    assert (answer.status_code, answer.mimetype) == (404, "text/html")


def test_without_script_a_field_whose_empty_text_says_something_is_sent_only_if_it_is_asked_for(
    client: FlaskClient,
) -> None:
    page = show(client, {"kind": "baselineCSV"})
    assert re.search(r'<input type="text"[^>]*name="date_column"[^>]* disabled', page)
    assert re.search(r'<input type="checkbox" name="date_column" value=""[^>]*>None', page)
    page = show(client, {"kind": "baselineCSV", "give": "date_column"})
    assert re.search(r'<input type="text"[^>]*name="date_column"(?![^>]*disabled)', page)
    assert 'type="checkbox" name="date_column"' not in page


def app_with_keys(make_app: Callable[..., Flask]) -> FlaskClient:
    ring = ",".join(f"{role}:{key}:{role}" for role, key in KEYS.items())
    return make_app(api_keys=KeyRing.read(ring)).test_client()


def test_who_may_start_no_job_is_offered_none(make_app: Callable[..., Flask]) -> None:
    client = app_with_keys(make_app)
    page = show(client, {"kind": "baselineCSV"}, Role.VIEWER)
    assert "Your key starts no jobs" in page
    assert '<form id="new"' not in page
    assert 'href="/ui/new"' not in page
    assert 'href="/ui/new"' in show(client, role=Role.USER)


def test_only_those_may_ask_for_a_high_priority_whose_jobs_may_have_it(make_app: Callable[..., Flask]) -> None:
    client = app_with_keys(make_app)
    offered = {
        role: '<option value="high"' in show(client, {"kind": "bulkTeam"}, role) for role in (Role.USER, Role.OPERATOR)
    }
    assert offered == {Role.USER: False, Role.OPERATOR: True}


def test_a_key_that_may_start_some_kinds_alone_is_offered_these_alone(make_app: Callable[..., Flask]) -> None:
    client = app_with_keys(make_app)
    admin = {"Authorization": f"Bearer {KEYS[Role.ADMIN]}"}
    said = {"user": "bob", "role": "user", "kinds": ["bulkTeam", "createExport"]}
    key = client.post("/keys", json=said, headers=admin).get_json()["key"]
    headers = {**PAGE, "Authorization": f"Bearer {key}"}
    page = client.get("/ui/new", headers=headers).text
    assert ("kind=bulkTeam" in page, "kind=createExport" in page, "kind=baselineCSV" in page) == (True, True, False)
    assert client.get("/ui/new?kind=bulkTeam", headers=headers).status_code == 200
    assert client.get("/ui/new?kind=baselineCSV", headers=headers).status_code == 403
