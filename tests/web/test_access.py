"""Every route, with every role, and with another user's ids, answers as the table in the docs says."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, NamedTuple

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from jobsvc.access.key_ring import KeyRing
from jobsvc.access.roles import RIGHTS, SEE_ALL, Right, Role
from jobsvc.web import access, takes
from tests.support.processes import ROOT
from tests.support.waiting import Commits

OTHER = "bob"

KEYS = {role: f"key-of-the-{role}-{'0' * 16}" for role in Role}
OTHERS_KEY = f"key-of-bob-{'0' * 16}"

MISSING = "ann-baselineCSV-1575836394-8469"
NO_ACTION = "pause-1575836394-8469"

IDS = {"job_id", "id", "job", "action_id", "paused_by"}
"""The names, in paths, queries and bodies, by which a route is told whose things it is about."""


class Route(NamedTuple):
    method: str
    rule: str
    right: Right | None
    names: tuple[str, ...]
    """What it takes in its query."""


class Own(NamedTuple):
    """What there is of one user: a job that has succeeded, and an action on many jobs that paused them."""

    job: str
    action: str


def user_of(role: Role) -> str:
    return f"the-{role}"


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    ring = ",".join(f"{user_of(role)}:{key}:{role}" for role, key in KEYS.items())
    return make_app(api_keys=KeyRing.read(f"{ring},{OTHER}:{OTHERS_KEY}"))


def routes(app: Flask) -> Iterator[Route]:
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        known = takes.stated(view) or takes.Takes()
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield Route(method, rule.rule, access.stated(view), (*known.query, *known.known))


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def made(client: FlaskClient, key: str, commits: Commits) -> Own:
    """A job that has succeeded, and an action that paused whatever there was."""
    file = {"file": (io.BytesIO(b"team,members\n"), "teams.csv")}
    job = client.post("/createBulkTeam", data=file, headers=bearer(key)).get_json()["Job ID"]
    commits.wait_for(
        lambda: client.get(f"/jobs/{job}", headers=bearer(key)).get_json()["state"] == "succeeded", f"{job} to succeed"
    )
    action = client.post("/jobs/actions", json={"action": "pause", "kind": "none"}, headers=bearer(key))
    return Own(job, action.get_json()["id"])


def ask(client: FlaskClient, route: Route, own: Own, key: str | None) -> TestResponse:
    """A request that names what is `own`, wherever the route takes such a name."""
    said = {
        "job_id": own.job,
        "id": own.job,
        "job": own.job,
        "action_id": own.action,
        "paused_by": own.action,
        "name": "createExport",
        "key_id": "aaaaaaaa",
        "file": "base.css" if "<version>" in route.rule else "page.css",
        "version": "0123456789abcdef",
        "action": "resume" if "paused_by" in route.names else "start",
        "dry_run": "true",
    }
    path = re.sub(r"<(?:\w+:)?(\w+)>", lambda found: said[found.group(1)], route.rule)
    query = {name: said[name] for name in route.names if name in said}
    body: dict[str, Any] = {}
    if route.right is Right.START and "job_id" not in route.rule:
        # An export, which may name a job; where a file is needed, there is none.
        body = {"json": {"from": "2026-01-01", "to": "2026-01-01", "job": own.job}}
    return client.open(path, method=route.method, query_string=query, headers=bearer(key) if key else {}, **body)


def told(answer: TestResponse, own: Own) -> tuple[int, str]:
    """An answer, but for the ids that the request has named."""
    text = answer.get_data(as_text=True)
    return answer.status_code, text.replace(own.job, "JOB").replace(own.action, "ACTION")


def test_without_a_key_nothing_is_told_but_what_is_public(app: Flask) -> None:
    client = app.test_client()
    for route in routes(app):
        answer = ask(client, route, Own(MISSING, NO_ACTION), None)
        if route.right is None:
            assert answer.status_code not in (401, 403), route
        else:
            assert answer.status_code == 401, route
            assert answer.headers["WWW-Authenticate"].startswith("Bearer"), route
    assert client.get("/nothing/here").status_code == 401


@pytest.mark.parametrize("role", list(Role))
def test_a_role_may_use_the_routes_whose_right_it_has_and_no_others(app: Flask, role: Role, commits: Commits) -> None:
    client = app.test_client()
    others = made(client, OTHERS_KEY, commits)
    for route in routes(app):
        permitted = route.right is None or route.right in RIGHTS[role]
        for own in (others, Own(MISSING, NO_ACTION)):
            answer = ask(client, route, own, KEYS[role])
            assert answer.status_code != 401, route
            assert (answer.status_code != 403) == permitted, (route, answer.get_data(as_text=True))
        if route.method != "GET":
            # It may have changed or removed them.
            others = made(client, OTHERS_KEY, commits)


def test_for_a_user_others_things_are_as_if_they_were_not_there(app: Flask, commits: Commits) -> None:
    client = app.test_client()
    others, missing = made(client, OTHERS_KEY, commits), Own(MISSING, NO_ACTION)
    own = made(client, KEYS[Role.USER], commits)
    compared = 0
    for route in routes(app):
        in_path = set(re.findall(r"\w+", route.rule))
        if route.right not in RIGHTS[Role.USER] or not IDS & {*in_path, *route.names}:
            continue
        compared += 1
        theirs = told(ask(client, route, others, KEYS[Role.USER]), others)
        assert theirs == told(ask(client, route, missing, KEYS[Role.USER]), missing), route
        assert theirs != told(ask(client, route, own, KEYS[Role.USER]), own), route
        if route.method != "GET":
            own = made(client, KEYS[Role.USER], commits)
    assert compared > 10


@pytest.mark.parametrize("role", sorted(SEE_ALL))
def test_who_sees_all_jobs_sees_others_as_well_as_their_own(app: Flask, role: Role, commits: Commits) -> None:
    client = app.test_client()
    others = made(client, OTHERS_KEY, commits)
    for route in routes(app):
        if route.right in RIGHTS[role] and "job_id" in route.rule and route.method == "GET":
            answer = ask(client, route, others, KEYS[role])
            assert "unknown-job" not in answer.get_data(as_text=True), route


def table(heading: str) -> list[list[str]]:
    """The rows of the first table after a heading, or a sentence, of the page on access."""
    text = (ROOT / "docs" / "access.md").read_text().partition(heading)[2]
    rows = re.findall(r"^\|(.*)\|$", text.partition("\n\n|")[2].partition("\n\n")[0], re.MULTILINE)
    return [[cell.strip() for cell in row.split("|")] for row in rows][1:]


def test_the_page_on_access_has_the_right_of_every_route(app: Flask) -> None:
    said = {
        (*route.split(" "), right) for right, listed in table("What each route needs:") for route in listed_in(listed)
    }
    assert said == {(route.method, route.rule, route.right or "none") for route in routes(app)}


def listed_in(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_the_page_on_access_has_the_rights_of_every_role() -> None:
    rights = list(Right)
    expected = [
        [f"`{role}`", *("yes" if right in RIGHTS[role] else "no" for right in rights), whose(role)] for role in Role
    ]
    assert [row for row in table("## Roles") if row[0].startswith("`")] == expected


def whose(role: Role) -> str:
    return "everybody's" if role in SEE_ALL else "their own"


def test_every_right_belongs_to_some_role_and_some_route(app: Flask) -> None:
    needed = {route.right for route in routes(app)} - {None}
    for role, right in product(Role, needed):
        assert right is not None
        assert (right in role.rights) == (right in RIGHTS[role])
    assert set(Right) == set().union(*RIGHTS.values())


def test_an_application_with_a_route_that_states_nothing_is_not_built() -> None:
    app = Flask("unguarded", static_folder=None)

    @app.get("/new")
    def new() -> str:
        return "everything"

    with pytest.raises(access.UnguardedRoute, match="new does not state what it needs"):
        access.register(app)
