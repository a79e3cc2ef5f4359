"""GET /jobs: order, pages, filters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from jobsvc.jobs.states import State
from jobsvc.service.new_job import NewJob
from jobsvc.web.services import Services
from tests.support.gated import Gated
from tests.support.requests import assert_problem, held, submit_gated
from tests.support.waiting import wait_for

pytestmark = pytest.mark.both_databases


@pytest.fixture
def waiting(make_app: Callable[..., Any], gated: Gated) -> tuple[FlaskClient, Services]:
    """A client and services whose only slot is taken: jobs wait in the queue."""
    app = make_app(max_running=1)
    services = app.extensions["jobsvc"]
    held(services, gated)
    return app.test_client(), services


def page(client: FlaskClient, **query: Any) -> tuple[list[str], str | None]:
    answer = client.get("/jobs", query_string=query)
    assert answer.status_code == 200, answer.text
    assert isinstance(answer.json, dict)
    assert list(answer.json) == ["jobs", "next"]
    return [job["id"] for job in answer.json["jobs"]], answer.json["next"]


def test_without_jobs_the_list_is_empty(client: FlaskClient) -> None:
    assert client.get("/jobs").json == {"jobs": [], "next": None}


def test_the_newest_job_comes_first_and_looks_as_it_does_alone(client: FlaskClient, services: Services) -> None:
    ids = [submit_gated(services, count=0) for _ in range(3)]
    for job_id in ids:
        wait_for(services, job_id, State.SUCCEEDED)
    answer = client.get("/jobs")
    assert isinstance(answer.json, dict)
    assert answer.json["jobs"] == [client.get(f"/jobs/{job_id}").json for job_id in reversed(ids)]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5])
def test_following_next_shows_every_job_once(waiting: tuple[FlaskClient, Services], limit: int) -> None:
    client, services = waiting
    for _ in range(3):
        submit_gated(services)
    everything, _ = page(client)
    assert len(everything) == 4
    pages = []
    query: dict[str, Any] = {"limit": limit}
    while True:
        ids, following = page(client, **query)
        pages.append(ids)
        if following is None:
            break
        query["after"] = following
    assert [job_id for ids in pages for job_id in ids] == everything
    assert len(pages) == -(-len(everything) // limit)


def test_jobs_that_come_while_somebody_pages_do_not_shift_the_pages(waiting: tuple[FlaskClient, Services]) -> None:
    client, services = waiting
    submit_gated(services)
    before, _ = page(client)
    _, following = page(client, limit=1)
    submit_gated(services)
    assert page(client, limit=1, after=following) == (before[1:], None)


def test_jobs_are_found_by_state_kind_and_user(waiting: tuple[FlaskClient, Services]) -> None:
    client, services = waiting
    running = page(client)[0][0]
    ann = submit_gated(services, user="ann")
    team = services.jobs.submit(NewJob(id="a-team", kind="bulkTeam", user="ann", params={})).id
    services.jobs.pause(team, "ann", 0)
    assert page(client, state="running")[0] == [running]
    assert page(client, state="queued")[0] == [ann]
    assert page(client, state="paused")[0] == [team]
    assert page(client, kind="bulkTeam")[0] == [team]
    assert page(client, user="ann")[0] == [team, ann]
    assert page(client, user="ann", kind="gated")[0] == [ann]
    assert page(client, user="ann", kind="gated", state="running")[0] == []
    assert page(client, kind="unheard-of")[0] == []
    assert page(client, user="ann", limit=1) == ([team], str(services.jobs.get(team).key))


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_jobs_in_several_states_are_listed_together_newest_first(
    waiting: tuple[FlaskClient, Services], limit: int
) -> None:
    client, services = waiting
    running = page(client)[0][0]
    paused, queued, gone = (submit_gated(services, user="ann") for _ in range(3))
    services.jobs.pause(paused, "ann", 0)
    services.jobs.terminate(gone, "ann", 0)
    found: list[str] = []
    query: dict[str, Any] = {"state": "running,queued,paused,running", "limit": limit}
    while True:
        ids, following = page(client, **query)
        found += ids
        if following is None:
            break
        query["after"] = following
    assert found == [queued, paused, running]
    assert page(client, state="running,queued", user="ann")[0] == [queued]


def test_jobs_are_found_by_a_text_in_their_id_or_their_files_name(waiting: tuple[FlaskClient, Services]) -> None:
    client, services = waiting
    running = page(client)[0][0]

    def submitted(name: str, filename: str) -> str:
        new = NewJob(id=f"Ann-gated-{name}", kind="gated", user="Ann", params={"count": 1}, filename=filename)
        return services.jobs.submit(new).id

    umlaut = submitted("1", "B\N{LATIN CAPITAL LETTER U WITH DIAERESIS}cher.csv")
    # As macOS writes it: the letter, and its dots as a character of their own.
    dots = submitted("2", "bu\N{COMBINING DIAERESIS}cher 100%.csv")
    plain = submitted("3", "a_b\nc.csv")
    assert page(client, text="b\N{LATIN SMALL LETTER U WITH DIAERESIS}CHER")[0] == [dots, umlaut]
    assert page(client, text="100%")[0] == page(client, text="%")[0] == [dots]
    assert page(client, text="A_B")[0] == page(client, text="_")[0] == [plain]
    assert page(client, text="/")[0] == page(client, text="\\")[0] == page(client, text="csva")[0] == []
    assert page(client, text="ann-GATED-")[0] == [plain, dots, umlaut]
    assert page(client, text="gated", user="Ann", state="queued,running", limit=1)[0] == [plain]
    assert page(client, text=running)[0] == page(client, text="gated", state="running")[0] == [running]
    assert page(client, text="")[0] == [plain, dots, umlaut, running]


def test_a_filter_holds_on_the_next_page(waiting: tuple[FlaskClient, Services]) -> None:
    client, services = waiting
    first = submit_gated(services, user="ann")
    submit_gated(services)
    last = submit_gated(services, user="ann")
    ids, following = page(client, user="ann", limit=1)
    assert ids == [last]
    assert page(client, user="ann", limit=1, after=following) == ([first], None)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        *(("limit", value, "a whole number from 1 to 1000") for value in ("0", "1001", "-1", "1.5", "ten", "9" * 5000)),
        *(("after", value, "the `next` of the page before") for value in ("x", "-1", "1.2", "1e3", "²", "9" * 19)),
        *(("state", value, "queued, running") for value in ("Running", "done", "queued,gone", "queued,")),
        ("text", "x" * 201, "a text of up to 200 printable characters"),
        ("text", "a\nb", "a text of up to 200 printable characters"),
    ],
)
def test_a_parameter_that_can_not_be_read_is_refused_with_what_is_allowed(
    shared_client: FlaskClient, name: str, value: str, allowed: str
) -> None:
    found = assert_problem(shared_client.get("/jobs", query_string={name: value}), 400, "invalid-parameter")
    assert found["parameter"] == name
    assert name == "text" or value in found["detail"]
    assert allowed in found["detail"]


def test_the_largest_page_is_a_thousand_jobs(shared_client: FlaskClient) -> None:
    assert page(shared_client, limit=1000) == ([], None)
