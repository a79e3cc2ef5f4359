from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from jobsvc.access.acts import Act
from jobsvc.web.services import Services
from tests.support.requests import assert_problem, submit_gated
from tests.support.waiting import Commits

pytestmark = pytest.mark.both_databases


def test_the_newest_lines_come_first_and_in_pages(client: FlaskClient, services: Services) -> None:
    made = [submit_gated(services, "ann") for _ in range(5)]
    after, found, pages = None, [], 0
    while pages == 0 or after is not None:
        page = client.get("/audit", query_string={"user": "ann", "limit": 2, **({"after": after} if after else {})})
        found += [line["target"] for line in page.get_json()["lines"]]
        after = page.get_json()["next"]
        pages += 1
    assert found == made[::-1]
    assert pages == 3


def test_lines_are_found_by_user_by_action_and_by_target(client: FlaskClient, services: Services) -> None:
    of_ann, of_bob = submit_gated(services, "ann"), submit_gated(services, "bob")
    services.jobs.pause(of_ann, "bob", 0.0)

    def found(**query: str) -> list[tuple[str, str, str]]:
        lines = client.get("/audit", query_string=query).get_json()["lines"]
        return [(line["user"], line["action"], line["target"]) for line in lines]

    assert found(user="bob") == [("bob", "job.pause", of_ann), ("bob", "job.create", of_bob)]
    assert found(action="job.pause") == [("bob", "job.pause", of_ann)]
    assert found(target=of_ann) == [("bob", "job.pause", of_ann), ("ann", "job.create", of_ann)]
    assert found(user="ann", action="job.pause") == []


def test_an_action_that_there_is_not_is_refused_with_those_that_there_are(client: FlaskClient) -> None:
    told = assert_problem(client.get("/audit?action=job.jump"), 400, "invalid-parameter")
    assert told["detail"] == f"action: 'job.jump' must be one of {', '.join(Act)}"


def test_a_key_that_is_asked_for_by_its_text_is_found_by_what_is_stored(client: FlaskClient, commits: Commits) -> None:
    key = f"jobsvc_abcdefgh_{'s' * 43}"
    client.delete(f"/keys/{key}")
    commits.wait_for(
        lambda: len(client.get("/audit", query_string={"target": key}).get_json()["lines"]) == 1, "the line"
    )
