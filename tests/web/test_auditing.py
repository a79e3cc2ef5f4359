"""Who did what, from where, with what outcome: each line, and that none is missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from jobsvc.access import trail
from jobsvc.access.acts import Act
from jobsvc.access.key_ring import KeyRing
from jobsvc.access.roles import Right, Role
from jobsvc.store.database import Database
from jobsvc.web import access
from jobsvc.web.services import Services
from tests.support.audit_lines import lines_of
from tests.support.full_disk import full
from tests.support.gated import Gated
from tests.support.requests import submit_gated
from tests.support.waiting import Commits
from tests.web.test_access import KEYS, MISSING, NO_ACTION, OTHER, OTHERS_KEY, Own, ask, bearer, routes, user_of

ROLES = KeyRing.read(f"{','.join(f'{user_of(role)}:{key}:{role}' for role, key in KEYS.items())},{OTHER}:{OTHERS_KEY}")
USER = user_of(Role.USER)


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    return make_app(api_keys=ROLES)


@pytest.fixture
def database(services: Services) -> Database:
    return services.jobs.lookup._database


class Asked(NamedTuple):
    answer: TestResponse
    line: dict[str, Any]


class Client:
    """Asks as a user, and waits for the only line that this leaves."""

    def __init__(self, client: FlaskClient, services: Services, commits: Commits, gated: Gated) -> None:
        self._client, self.services, self._commits, self.gated = client, services, commits, gated
        self.database = services.jobs.lookup._database

    def send(self, method: str, path: str, role: Role = Role.USER, **more: Any) -> TestResponse:
        return self._client.open(path, method=method, headers=bearer(KEYS[role]), **more)

    def ask(self, method: str, path: str, role: Role = Role.USER, **more: Any) -> Asked:
        answer = self.send(method, path, role, **more)
        found = answer.headers["X-Request-ID"]
        self._commits.wait_for(lambda: bool(lines_of(self.database, request_id=found)), f"the line of {method} {path}")
        (line,) = lines_of(self.database, request_id=found)
        return Asked(answer, line)

    def job(self, state: str = "paused", user: str = USER) -> str:
        """A job that waits at the gate, or has come to another state."""
        job_id = submit_gated(self.services, user, count=1)
        self.gated.gate.wait_reached(1)
        self.gated.gate.reached = 0
        if state == "paused":
            self.services.jobs.pause(job_id, user, 0.0)
            self.gated.gate.open(1)
        if state == "succeeded":
            self.gated.gate.open(1)
        self._commits.wait_for(lambda: self.services.jobs.get(job_id).state == state, f"{job_id} to be {state}")
        return job_id


@pytest.fixture
def ann(client: FlaskClient, services: Services, commits: Commits, gated: Gated) -> Client:
    return Client(client, services, commits, gated)


Case = tuple[str, Callable[[Client], tuple[Asked, str | None]], str, str, int | None, str | None]


def on(state: str, method: str, path: str, **more: Any) -> Callable[[Client], tuple[Asked, str | None]]:
    """A request about a job in that state."""

    def asked(ann: Client) -> tuple[Asked, str | None]:
        job_id = ann.job(state)
        return ann.ask(method, path.replace("ID", job_id), **more), job_id

    return asked


def about(
    method: str, path: str, target: str | None = None, **more: Any
) -> Callable[[Client], tuple[Asked, str | None]]:
    return lambda ann: (ann.ask(method, path, **more), target)


def created(ann: Client) -> tuple[Asked, str | None]:
    asked = ann.ask("POST", "/kinds/gated/jobs", json={"count": 1})
    return asked, asked.answer.get_json()["id"]


def created_again(ann: Client) -> tuple[Asked, str | None]:
    headers = {**bearer(KEYS[Role.USER]), "Idempotency-Key": "k"}
    first = ann._client.post("/kinds/gated/jobs", json={"count": 1}, headers=headers).get_json()["id"]
    again = ann._client.post("/kinds/gated/jobs", json={"count": 1}, headers={**headers, "X-Request-ID": "again"})
    assert again.get_json()["id"] == first
    (line,) = lines_of(ann.database, request_id="again")
    return Asked(again, line), first


def asked_of_many(ann: Client) -> tuple[Asked, str | None]:
    asked = ann.ask("POST", "/jobs/actions", json={"action": "pause", "wait": 0})
    return asked, asked.answer.get_json()["id"]


def made_key(ann: Client) -> tuple[Asked, str | None]:
    asked = ann.ask("POST", "/keys", Role.ADMIN, json={"user": "cy", "role": "user"})
    return asked, asked.answer.get_json()["id"]


def revoked(times: int) -> Callable[[Client], tuple[Asked, str | None]]:
    def asked(ann: Client) -> tuple[Asked, str | None]:
        key = ann.send("POST", "/keys", Role.ADMIN, json={"user": "cy", "role": "user"}).get_json()["id"]
        found = [ann.ask("DELETE", f"/keys/{key}", Role.ADMIN) for _ in range(times)]
        return found[-1], key

    return asked


def of_another(ann: Client) -> tuple[Asked, str | None]:
    job_id = ann.job("paused", user=OTHER)
    return ann.ask("POST", f"/jobs/{job_id}/resume"), job_id


def look_at_another(ann: Client) -> tuple[Asked, str | None]:
    job_id = ann.job("paused", user=OTHER)
    return ann.ask("GET", f"/jobs/{job_id}"), job_id


CASES: list[Case] = [
    ("create", created, "job.create", "done", None, None),
    ("create again", created_again, "job.create", "already", None, None),
    (
        "create refused",
        about("POST", "/kinds/gated/jobs", json={"count": "x"}),
        *("job.create", "refused", 400, "invalid-parameter"),
    ),
    (
        "create by a viewer",
        about("POST", "/uploadCSV", role=Role.VIEWER),
        "job.create",
        "refused",
        403,
        "not-permitted",
    ),
    ("pause", on("running", "POST", "/jobs/ID/pause?wait=0"), "job.pause", "done", None, None),
    ("pause again", on("paused", "POST", "/jobs/ID/pause"), "job.pause", "already", None, None),
    ("pause refused", on("succeeded", "POST", "/jobs/ID/pause"), "job.pause", "refused", 409, "not-allowed-now"),
    ("resume", on("paused", "POST", "/jobs/ID/resume"), "job.resume", "done", None, None),
    ("resume again", on("running", "POST", "/jobs/ID/resume"), "job.resume", "already", None, None),
    ("terminate", on("paused", "POST", "/jobs/ID/terminate?wait=0"), "job.terminate", "done", None, None),
    ("roll back", on("succeeded", "POST", "/jobs/ID/rollback"), "job.rollback", "done", None, None),
    (
        "terminate and roll back",
        on("paused", "POST", "/jobs/ID/terminate", json={"rollback": True}),
        *("job.rollback", "done", None, None),
    ),
    ("roll back refused", on("paused", "POST", "/jobs/ID/rollback"), "job.rollback", "refused", 409, "not-allowed-now"),
    ("stop, as ever", on("running", "GET", "/updateTask?id=ID&action=stop"), "job.pause", "done", None, None),
    (
        "stop refused, as ever",
        on("succeeded", "GET", "/updateTask?id=ID&action=stop"),
        *("job.pause", "refused", 409, "job_finished"),
    ),
    (
        "nothing known, as ever",
        on("paused", "POST", "/updateTask", data={"id": "ID", "action": "jump"}),
        *("job.steer", "refused", 404, "id_doesn't_exist"),
    ),
    ("delete", on("succeeded", "DELETE", "/jobs/ID"), "job.delete", "done", None, None),
    ("delete refused", on("paused", "DELETE", "/jobs/ID"), "job.delete", "refused", 409, "not-allowed-now"),
    ("another's job", of_another, "job.resume", "refused", 404, "unknown-job"),
    ("a look at another's job", look_at_another, "look", "refused", 404, "unknown-job"),
    ("no job", about("POST", f"/jobs/{MISSING}/pause", MISSING), "job.pause", "refused", 404, "unknown-job"),
    ("many", asked_of_many, "action.create", "done", None, None),
    (
        "many, dry",
        about("POST", "/jobs/actions", json={"action": "pause", "dry_run": True}),
        *("action.preview", "done", 200, None),
    ),
    (
        "many, refused",
        about("POST", "/jobs/actions", json={"action": "jump"}),
        *("action.create", "refused", 400, "invalid-parameter"),
    ),
    (
        "a file is looked at",
        about("POST", "/previews", data=b"a\n1\n"),
        *("file.preview", "done", 200, None),
    ),
    ("refused rows", on("succeeded", "GET", "/jobs/ID/failed"), "failed.download", "done", 200, None),
    ("no result", on("succeeded", "GET", "/jobs/ID/result"), "result.download", "refused", 404, "no-result"),
    ("make a key", made_key, "key.create", "done", None, None),
    ("make no key", about("POST", "/keys", role=Role.OPERATOR), "key.create", "refused", 403, "not-permitted"),
    ("revoke", revoked(1), "key.revoke", "done", None, None),
    ("revoke again", revoked(2), "key.revoke", "already", None, None),
    (
        "revoke nothing",
        about("DELETE", "/keys/abcdefgh", "abcdefgh", role=Role.ADMIN),
        *("key.revoke", "refused", 404, "unknown-key"),
    ),
    ("list keys", about("GET", "/keys", role=Role.ADMIN), "key.list", "done", 200, None),
    ("read the audit", about("GET", "/audit", role=Role.ADMIN), "audit.read", "done", 200, None),
    ("workers", about("GET", "/workers"), "oversee", "refused", 403, "not-permitted"),
]


@pytest.mark.both_databases
@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_what_somebody_does_has_one_line_with_who_and_what_and_what_came_of_it(case: Case, ann: Client) -> None:
    _, act, action, outcome, status, problem = case
    asked, target = act(ann)
    line = asked.line
    assert (line["action"], line["outcome"], line["status"], line["problem"]) == (action, outcome, status, problem)
    assert line["target"] == (target if line["problem"] != "id_doesn't_exist" else "ID")
    role = line["role"]
    assert (line["user"], line["key_id"]) == (user_of(Role(role)), f"JOBSVC_API_KEYS:{user_of(Role(role))}")
    assert (line["address"], line["times"]) == ("127.0.0.1", 1)
    assert trail.current() is None, "it ends with its request"


def test_every_route_that_starts_or_steers_or_manages_leaves_a_line_permitted_or_not(
    app: Flask, database: Database, commits: Commits
) -> None:
    client = app.test_client()
    expected: dict[str, tuple[str, Act | None]] = {}
    for route in routes(app):
        view = app.view_functions[
            next(
                rule.endpoint
                for rule in app.url_map.iter_rules()
                if rule.rule == route.rule and route.method in (rule.methods or ())
            )
        ]
        if route.right in access.AUDITED:
            for role in (Role.VIEWER, Role.ADMIN):
                answer = ask(client, route, Own(MISSING, NO_ACTION), KEYS[role])
                expected[answer.headers["X-Request-ID"]] = (user_of(role), access.act_of(view))
    assert {Right.START, Right.STEER, Right.MANAGE} <= {route.right for route in routes(app)}
    assert len(expected) > 30
    commits.wait_for(lambda: set(expected) <= {line["request_id"] for line in lines_of(database)}, "all lines")
    for request_id, (user, _) in expected.items():
        (line,) = lines_of(database, request_id=request_id)
        assert line["user"] == user
    assert not [request_id for request_id, (_, act) in expected.items() if act is None]


def test_an_application_with_such_a_route_that_the_audit_has_no_name_for_is_not_built() -> None:
    app = Flask("unnamed", static_folder=None)

    @app.post("/new")
    @access.needs(Right.STEER)
    def new() -> str:
        return "done"

    with pytest.raises(access.UnguardedRoute, match="new does not state what the audit calls it"):
        access.register(app)


def test_looks_leave_no_line(ann: Client, commits: Commits) -> None:
    job_id = ann.job("paused")
    for path in ("/jobs", f"/jobs/{job_id}", f"/jobs/{job_id}/events", "/kinds", f"/jobs/{MISSING}"):
        ann.send("GET", path)
    last = ann.ask("POST", f"/jobs/{job_id}/pause").line
    assert [line["action"] for line in lines_of(ann.database, user=USER) if line["id"] < last["id"]] == [
        "job.create",
        "job.pause",
    ]


class Shown(NamedTuple):
    header: str | None
    key_id: str | None


@pytest.mark.parametrize(
    "shown",
    [
        Shown(None, None),
        Shown("Bearer not-a-key-of-this-service", None),
        Shown(f"Bearer jobsvc_abcdefgh_{'s' * 43}", "abcdefgh"),
        Shown("Basic YTpi", None),
    ],
)
def test_a_key_that_is_not_good_has_a_line_with_its_id_and_never_with_its_secret(
    client: FlaskClient, database: Database, commits: Commits, shown: Shown
) -> None:
    headers = {"Authorization": shown.header} if shown.header else {}
    assert client.get("/jobs", headers=headers).status_code == 401
    commits.wait_for(lambda: bool(lines_of(database)), "the line")
    (line,) = lines_of(database)
    assert (line["action"], line["outcome"], line["status"]) == ("enter", "refused", 401)
    assert (line["user"], line["key_id"], line["problem"]) == (None, shown.key_id, "no-good-key")
    assert line["address"] == "127.0.0.1"
    assert "s" * 43 not in str(line)
    assert "not-a-key" not in str(line)


def test_a_key_in_the_place_of_its_id_is_in_the_audit_without_its_secret(ann: Client) -> None:
    made = ann.send("POST", "/keys", Role.ADMIN, json={"user": "cy", "role": "admin"}).get_json()
    by_shape = ann.ask("DELETE", f"/keys/{made['key']}", Role.ADMIN).line
    assert by_shape["target"] == f"jobsvc_{made['id']}_…"
    own = ann.ask("DELETE", f"/keys/{KEYS[Role.ADMIN]}", Role.ADMIN).line
    assert own["target"] == "…"
    secret = made["key"].split("_", 2)[2]
    assert secret not in str(lines_of(ann.database))


def test_whoever_has_no_key_leaves_few_lines_however_often_they_try(
    client: FlaskClient, database: Database, services: Services
) -> None:
    for number in range(300):
        headers = bearer(f"jobsvc_{number:08}_{'s' * 43}")
        assert client.get("/jobs", headers=headers).status_code == 401
    services.close()
    found = lines_of(Database(services.settings.url), action="enter")
    assert sum(line["times"] for line in found) == 300
    assert len(found) <= 21


def test_a_refusal_is_answered_where_the_audit_can_not_be_written(
    ann: Client, commits: Commits, caplog: pytest.LogCaptureFixture
) -> None:
    job_id = ann.job("succeeded")
    with full(ann.database):
        for _ in range(300):
            assert ann.send("POST", f"/jobs/{job_id}/pause").status_code == 409
    commits.wait_for(
        lambda: len(lines_of(ann.database, outcome="refused")) == 300, "the lines, once there is room again"
    )


def test_only_an_admin_reads_it(ann: Client) -> None:
    for role in Role:
        assert ann.send("GET", "/audit", role).status_code == (200 if role is Role.ADMIN else 403)


def test_without_keys_there_are_lines_too(make_app: Callable[..., Flask], tmp_path: Any) -> None:
    app = make_app(data_dir=tmp_path / "other")
    client = app.test_client()
    made = client.post("/kinds/gated/jobs", json={"count": 1}).get_json()["id"]
    (line,) = client.get(f"/audit?target={made}").get_json()["lines"]
    assert (line["user"], line["role"], line["key_id"], line["action"]) == ("Jon-Doe", "admin", None, "job.create")
