"""Following a job: by requests that wait, and at intervals where the service can't."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from jobsvc.cli.client.api import Api, CantWait, Seen, Unreachable
from jobsvc.cli.client.exits import Ended
from jobsvc.cli.client.watching import looks
from tests.cli.conftest import Told
from tests.support.server import Server


class Flaky:
    """A service that answers with these jobs, and is away in between. It can't wait."""

    def __init__(self, *answers: dict[str, Any] | None) -> None:
        self._answers = iter(answers)

    def job(self, job_id: str) -> dict[str, Any]:
        answer = next(self._answers, None)
        if answer is None:
            raise Unreachable("away")
        return answer

    def changed_job(self, job_id: str, version: str) -> Seen:
        raise CantWait


class Patient(Flaky):
    """One that can, and notes which versions it is told. `busy`: it is asked to be left alone for so many seconds."""

    def __init__(self, *answers: dict[str, Any] | None, busy: float = 0.0) -> None:
        super().__init__(*answers)
        self.known: list[str] = []
        self._busy = busy

    def changed_job(self, job_id: str, version: str) -> Seen:
        self.known.append(version)
        return Seen(self.job(job_id), self._busy)


def seen(service: Flaky, pauses: list[float] | None = None, seconds: float = 1.0) -> Iterator[dict[str, Any]]:
    clock, paused = count(0.0, seconds), [] if pauses is None else pauses
    return looks(service, "x", lambda _: None, paused.append, lambda: next(clock))  # type: ignore[arg-type]


def test_a_service_that_is_started_again_meanwhile_is_waited_for() -> None:
    first, last = {"state": "running"}, {"state": "succeeded"}
    found = seen(Flaky(first, None, None, first, None, last))
    assert [next(found), next(found)] == [first, last]
    first, last = {"version": "1"}, {"version": "2"}
    found = seen(Patient(first, None, None, first, None, last))
    assert [next(found), next(found)] == [first, last]


def test_a_service_that_stays_away_is_not_waited_for_without_end() -> None:
    found = seen(Flaky({"state": "running"}))
    next(found)
    with pytest.raises(Unreachable):
        next(found)
    with pytest.raises(Unreachable):
        next(seen(Flaky(None, {"state": "running"})))


def test_a_service_that_can_wait_is_told_what_is_known_and_not_asked_at_intervals() -> None:
    jobs = [{"version": text} for text in "aabccd"]
    service, pauses = Patient(*jobs), []
    found = seen(service, pauses)
    assert [next(found)["version"] for _ in range(4)] == ["a", "b", "c", "d"]
    assert (service.known, pauses) == (["a", "a", "b", "c", "c"], [])


def test_a_service_that_has_no_place_to_wait_is_left_alone_for_as_long_as_it_says() -> None:
    pauses: list[float] = []
    found = seen(Patient({"version": "a"}, {"version": "b"}, {"version": "c"}, busy=7.0), pauses)
    assert [next(found)["version"] for _ in range(3)] == ["a", "b", "c"]
    assert pauses == [7.0]


def test_an_older_service_that_can_not_wait_is_asked_at_intervals() -> None:
    for jobs in ([{"state": text} for text in "aab"], [{"version": text} for text in "aab"]):
        pauses: list[float] = []
        found = seen(Flaky(*jobs), pauses)
        assert [next(found), next(found)] == [jobs[0], jobs[2]]
        assert pauses
        assert all(pauses)


def test_how_an_older_service_says_that_it_can_not_wait(told: Told) -> None:
    told.status = 400
    told.body = b'{"type": "urn:jobsvc:invalid-parameter", "status": 400, "title": "t", "parameter": "wait"}'
    with pytest.raises(CantWait):
        Api(told.url, None).changed_job("x", "v")
    told.body = told.body.replace(b'"wait"', b'"id"')
    with pytest.raises(Ended) as refused:
        Api(told.url, None).changed_job("x", "v")
    assert refused.value.exit_code == 2


def test_watching_a_job_takes_a_few_requests(service: Server) -> None:
    asked: list[str] = []
    api = Api(service.url, None)
    changed_job, job = api.changed_job, api.job
    api.changed_job = lambda *known: asked.append("changed") or changed_job(*known)  # type: ignore[method-assign,func-returns-value]
    api.job = lambda job_id: asked.append("job") or job(job_id)  # type: ignore[method-assign,func-returns-value]
    _, made = service.post("/kinds/ticks/jobs", {"count": 2, "seconds": 2, "batch": 2})
    for last in looks(api, made["id"], lambda _: None):
        if last["state"] == "succeeded":
            break
    # Queued, running, succeeded: each change is one request, and none of them is made to see that there is no change.
    assert asked[0] == "job"
    assert asked[1:] == ["changed"] * len(asked[1:])
    assert len(asked) <= 4
