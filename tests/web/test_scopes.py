"""What a user sees of lists, records, teams, exports and actions: their own."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from jobsvc.access.key_ring import KeyRing
from jobsvc.access.roles import Role
from jobsvc.kinds.builtin import create_export
from jobsvc.service.callers.keys import NewApiKey
from jobsvc.web.services import Services
from tests.support.requests import assert_problem
from tests.support.waiting import Commits

pytestmark = pytest.mark.both_databases

ANN, BOB, EVE, ADA = (f"key-of-{name}-{'0' * 16}" for name in ("ann", "bob", "eve", "ada"))

RING = f"ann:{ANN}:user,bob:{BOB}:user,eve:{EVE}:viewer,ada:{ADA}:admin"


class Session:
    """One user's requests."""

    def __init__(self, client: FlaskClient, key: str, commits: Commits) -> None:
        self._client, self._commits = client, commits
        self._headers = {"Authorization": f"Bearer {key}"}

    def get(self, path: str, **query: Any) -> Any:
        answer = self._client.get(path, query_string=query, headers=self._headers)
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return answer.get_json() if answer.is_json else answer.get_data(as_text=True)

    def post(self, path: str, status: int = 200, headers: dict[str, str] | None = None, **sent: Any) -> Any:
        answer = self._client.post(path, headers=self._headers | (headers or {}), **sent)
        assert answer.status_code == status, answer.get_data(as_text=True)
        return answer.get_json()

    def upload(self, text: str, route: str = "/uploadCSV") -> str:
        job: str = self.post(route, data={"file": (io.BytesIO(text.encode()), "the file.csv")})["Job ID"]
        return self.succeeded(job)

    def succeeded(self, job: str) -> str:
        self._commits.wait_for(lambda: self.get(f"/jobs/{job}")["state"] == "succeeded", f"{job} to succeed")
        return job


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    return make_app(api_keys=KeyRing.read(RING))


@pytest.fixture
def session(client: FlaskClient, commits: Commits) -> Callable[[str], Session]:
    return lambda key: Session(client, key, commits)


def ids(listed: Any) -> set[str]:
    return {job["id"] for job in listed["jobs"]}


def test_a_users_name_begins_the_ids_of_their_jobs(session: Callable[[str], Session]) -> None:
    job = session(ANN).upload("a\n1\n")
    assert job.startswith("ann-baselineCSV-")
    assert session(ANN).get(f"/jobs/{job}")["user"] == "ann"
    assert {event["who"] for event in session(ANN).get(f"/jobs/{job}/events")["events"]} >= {"ann"}


def test_a_list_has_a_users_own_jobs_and_everybodys_for_a_viewer(session: Callable[[str], Session]) -> None:
    anns, bobs = session(ANN).upload("a\n1\n"), session(BOB).upload("a\n1\n")
    assert ids(session(ANN).get("/jobs")) == {anns}
    assert ids(session(ANN).get("/jobs", user="bob")) == set()
    assert ids(session(ANN).get("/jobs", user="ann", kind="baselineCSV")) == {anns}
    assert ids(session(ANN).get("/jobs", text="baselineCSV", state="succeeded,failed")) == {anns}
    assert ids(session(ANN).get("/jobs", text="bob")) == set()
    assert ids(session(EVE).get("/jobs")) == {anns, bobs}
    assert ids(session(EVE).get("/jobs", user="bob")) == {bobs}


def test_records_and_teams_are_a_users_own(session: Callable[[str], Session]) -> None:
    anns, bobs = session(ANN).upload("a\n1\n2\n"), session(BOB).upload("a\n3\n4\n5\n")
    for key, own, rows in ((ANN, anns, 2), (BOB, bobs, 3)):
        found = session(key).get("/records", limit=1)
        while found["next"]:
            more = session(key).get("/records", limit=1, after=found["next"])
            found = {"records": found["records"] + more["records"], "next": more["next"]}
        assert [record["job_id"] for record in found["records"]] == [own] * rows
    teams = session(ANN).upload("team\nreds\n", "/createBulkTeam")
    others = session(BOB).upload("team\nblues\n", "/createBulkTeam")
    assert [team["job_id"] for team in session(ANN).get("/teams")["teams"]] == [teams]
    assert [team["job_id"] for team in session(BOB).get("/teams")["teams"]] == [others]
    assert {team["job_id"] for team in session(EVE).get("/teams")["teams"]} == {teams, others}
    assert len(session(EVE).get("/records")["records"]) == 5


def exported(session: Session, **more: str) -> list[str]:
    job = session.post("/exportData", json={"from": "2026-01-01", "to": "2026-01-31", **more})["Job ID"]
    session.succeeded(job)
    lines: list[str] = session.get(f"/jobs/{job}/result").splitlines()
    return lines


def test_an_export_has_a_users_own_records_and_columns(session: Callable[[str], Session]) -> None:
    anns = session(ANN).upload("date,mine\n2026-01-02,1\n2026-01-03,2\n")
    bobs = session(BOB).upload("date,theirs\n2026-01-02,3\n")
    assert exported(session(ANN)) == [
        "_job_id,_row,_date,date,mine",
        f"{anns},1,2026-01-02,2026-01-02,1",
        f"{anns},2,2026-01-03,2026-01-03,2",
    ]
    assert exported(session(BOB)) == ["_job_id,_row,_date,date,theirs", f"{bobs},1,2026-01-02,2026-01-02,3"]
    assert len(exported(session(ADA))) == 4
    assert len(exported(session(ADA), job=bobs)) == 2
    refused = session(ANN).post("/exportData", 400, json={"from": "2026-01-01", "to": "2026-01-31", "job": bobs})
    assert refused["errorType"] == "invalid_job"
    session(ANN).post("/kinds/createExport/jobs", 400, json={"from": "2026-01-01", "to": "2026-01-31", "job": bobs})


def test_an_action_on_many_jobs_finds_a_users_own(session: Callable[[str], Session]) -> None:
    session(ANN).upload("a\n1\n")
    bobs = session(BOB).upload("a\n1\n")
    assert session(ANN).post("/jobs/actions", json={"action": "rollback", "dry_run": True})["found"] == 1
    assert session(ANN).post("/jobs/actions", json={"action": "rollback", "user": "bob", "dry_run": True})["found"] == 0
    assert session(ADA).post("/jobs/actions", json={"action": "rollback", "dry_run": True})["found"] == 2
    done = session(ANN).post("/jobs/actions", json={"action": "rollback", "wait": 30})
    assert (done["found"], done["done"]) == (1, 1)
    assert session(BOB).get(f"/jobs/{bobs}")["state"] == "succeeded"
    assert session(BOB).get("/jobs/actions")["actions"] == []
    assert [action["id"] for action in session(ANN).get("/jobs/actions")["actions"]] == [done["id"]]
    assert [action["id"] for action in session(EVE).get("/jobs/actions")["actions"]] == [done["id"]]


def test_an_export_of_a_time_when_the_user_saw_everything_is_not_there_for_them_any_more(
    session: Callable[[str], Session], services: Services, client: FlaskClient
) -> None:
    session(BOB).upload("theirs,date\n3,2026-01-02\n")
    operator, user = (
        services.keys.create(NewApiKey("cy", role), by="test").text for role in (Role.OPERATOR, Role.USER)
    )
    days = {"from": "2026-01-01", "to": "2026-01-31"}
    wide = session(operator).succeeded(session(operator).post("/exportData", json=days)["Job ID"])
    own = session(user).succeeded(session(user).post("/exportData", json=days)["Job ID"])
    for key in (operator, ADA, EVE):
        assert "theirs" in session(key).get(f"/jobs/{wide}/result")
        assert "theirs" not in session(key).get(f"/jobs/{own}/result")
    headers = {"Authorization": f"Bearer {user}"}
    for more in ({}, {"Range": "bytes=0-9"}):
        answer = client.get(f"/jobs/{wide}/result", headers=headers | more)
        assert "everybody's jobs" in assert_problem(answer, 403, "not-permitted")["detail"]
    assert session(user).get(f"/jobs/{wide}")["user"] == "cy", "the job is theirs, as its history is"
    assert "theirs" not in session(user).get(f"/jobs/{own}/result")
    imported = session(operator).upload("mine\n1\n")
    assert_problem(client.get(f"/jobs/{imported}/result", headers=headers), 404, "no-result")


def test_the_same_idempotency_key_of_two_users_stands_for_two_requests(session: Callable[[str], Session]) -> None:
    made = [
        session(key).post("/kinds/createExport/jobs", 201, {"Idempotency-Key": "x"}, json=body)["id"]
        for key, body in (
            (ANN, {"from": "2026-01-01", "to": "2026-01-01"}),
            (BOB, {"from": "2026-01-02", "to": "2026-01-02"}),
            (ANN, {"from": "2026-01-01", "to": "2026-01-01"}),
        )
    ]
    assert made[0] == made[2] != made[1]


def both_roles(app: Flask) -> tuple[str, str]:
    """Two keys of one user: of an operator, and of a user."""
    keys = app.extensions["jobsvc"].keys
    made = [keys.create(NewApiKey("ann", role), by="ada").text for role in (Role.OPERATOR, Role.USER)]
    return made[0], made[1]


def test_what_a_user_once_asked_as_an_operator_shows_nothing_of_others(
    app: Flask, session: Callable[[str], Session]
) -> None:
    operator, user = map(session, both_roles(app))
    bobs = session(BOB).upload("date,a\n2026-01-02,1\n")
    key = {"Idempotency-Key": "same"}
    asked = operator.post("/jobs/actions", headers=key, json={"action": "pause"})
    assert bobs in str(asked)
    assert user.get("/jobs/actions")["actions"] == []
    user.post("/jobs/actions", 422, headers=key, json={"action": "pause"})
    refused = user.post("/jobs/actions", 400, json={"action": "resume", "paused_by": asked["id"]})
    assert "there is no action" in refused["detail"]
    days = {"from": "2026-01-01", "to": "2026-01-31"}
    exported = {"Idempotency-Key": "export"}
    first = operator.post("/kinds/createExport/jobs", 201, exported, json=days)["id"]
    user.post("/kinds/createExport/jobs", 422, exported, json=days)
    assert operator.post("/kinds/createExport/jobs", 201, exported, json=days)["id"] == first


def test_an_action_that_was_asked_as_an_operator_is_not_there_for_a_user(
    app: Flask, session: Callable[[str], Session], client: FlaskClient
) -> None:
    operator, user = both_roles(app)
    asked = session(operator).post("/jobs/actions", json={"action": "pause"})
    answer = client.get(f"/jobs/actions/{asked['id']}", headers={"Authorization": f"Bearer {user}"})
    assert answer.status_code == 404


def test_a_user_s_export_looks_at_others_records_a_few_at_a_time(
    session: Callable[[str], Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(create_export, "ENTRIES_AT_A_TIME", 3)
    mine = []
    for number in range(4):
        mine.append(session(ANN).upload(f"date,n\n2026-01-02,{number}\n"))
        session(BOB).upload("date,n\n" + "2026-01-02,0\n" * 7)
    assert [line.split(",")[0] for line in exported(session(ANN))[1:]] == mine


def test_a_key_may_start_the_kinds_that_it_is_for(app: Flask, client: FlaskClient) -> None:
    key = app.extensions["jobsvc"].keys.create(NewApiKey("ann", Role.USER, ["createExport"]), by="ada").text
    headers = {"Authorization": f"Bearer {key}"}
    body = {"from": "2026-01-01", "to": "2026-01-01"}
    assert client.post("/exportData", json=body, headers=headers).status_code == 200
    for route in ("/uploadCSV", "/createBulkTeam", "/kinds/baselineCSV/jobs"):
        refused = client.post(route, data={"file": (io.BytesIO(b"a\n1\n"), "a.csv")}, headers=headers)
        assert refused.status_code == 403
        assert "it may start those of createExport" in refused.get_json()["detail"]
    assert {job["kind"] for job in client.get("/jobs", headers=headers).get_json()["jobs"]} == {"createExport"}


@pytest.mark.in_one_app
@pytest.mark.parametrize("given", ["Basic YW5uOmFubg==", "Bearer", "Bearer ", "Token x", "x"])
def test_other_credentials_are_refused_and_say_what_is_needed(client: FlaskClient, given: str) -> None:
    answer = client.get("/jobs", headers={"Authorization": given})
    assert answer.status_code == 401
    assert "Bearer KEY" in answer.get_json()["detail"]


def test_keys_let_clients_of_other_machines_in_and_nobody_else(client: FlaskClient) -> None:
    elsewhere = {"environ_base": {"REMOTE_ADDR": "192.0.2.7"}, "base_url": "http://jobs.example.org"}
    assert client.get("/jobs", **elsewhere).status_code == 401
    assert client.get("/jobs", headers={"Authorization": f"Bearer {ANN}"}, **elsewhere).status_code == 200
    assert client.get("/healthz", **elsewhere).status_code == 200


def checked(session: Session) -> str:
    form = {"file": (io.BytesIO(b"date,n\n2026-01-02,1\nsoon,2\n"), "the file.csv"), "dry_run": "true"}
    return session.succeeded(session.post("/uploadCSV", data=form)["Job ID"])


def test_a_dry_run_of_somebody_else_has_no_report_and_is_not_applied(session: Callable[[str], Session]) -> None:
    dry_run = checked(session(ANN))
    for key, path, status in ((BOB, "report", 404), (EVE, "report", 200), (ADA, "report", 200)):
        answer = session(key)._client.get(f"/jobs/{dry_run}/{path}", headers=session(key)._headers)
        assert answer.status_code == status
    assert session(BOB).post(f"/jobs/{dry_run}/apply", 404)["type"] == "urn:jobsvc:unknown-job"
    session(EVE).post(f"/jobs/{dry_run}/apply", 403)
    assert session(ANN).get(f"/jobs/{dry_run}")["applied_as"] == []


def test_what_an_admin_applies_is_theirs_and_stays_with_its_file(session: Callable[[str], Session]) -> None:
    dry_run = checked(session(ANN))
    made = session(ADA).post(f"/jobs/{dry_run}/apply", 201, json={"priority": "high"})
    assert (made["user"], made["priority"]) == ("ada", "high")
    session(ADA).succeeded(made["id"])
    assert session(ANN).get(f"/jobs/{dry_run}")["applied_as"] == [made["id"]]
    session(ANN)._client.delete(f"/jobs/{dry_run}", headers=session(ANN)._headers)
    assert session(ADA).get(f"/jobs/{made['id']}/failed").endswith("soon,2\n")
    session(ANN).post(f"/jobs/{checked(session(ANN))}/apply", 403, json={"priority": "high"})


def test_a_key_for_other_kinds_applies_no_dry_run(
    app: Flask, client: FlaskClient, commits: Commits, session: Callable[[str], Session]
) -> None:
    dry_run = checked(session(ANN))
    made = app.extensions["jobsvc"].keys.create(NewApiKey("ann", Role.USER, ["bulkTeam"]), by="ada")
    refused = Session(client, made.text, commits).post(f"/jobs/{dry_run}/apply", 403)
    assert "baselineCSV" in refused["detail"]
