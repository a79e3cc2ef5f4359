"""A shutdown that begins while the next job is being claimed."""

from __future__ import annotations

from threading import Event

from jobsvc.engines.threads import ThreadEngine
from jobsvc.runs.signals import Signals
from tests.support.given_jobs import GivenJobs
from tests.support.waiting import TIMEOUT


class OneClaim:
    key = 1
    attempt = 1


def test_a_run_whose_claim_was_under_way_when_the_shutdown_began_is_told_of_it() -> None:
    claiming, go_on = Event(), Event()
    told: list[bool] = []

    def claim() -> OneClaim | None:
        claiming.set()
        assert go_on.wait(TIMEOUT)
        return OneClaim()

    def run(claim: OneClaim, signals: Signals) -> None:
        told.append(signals.shutting_down and signals.stop.is_set())

    engine: ThreadEngine[OneClaim, Signals] = ThreadEngine(
        GivenJobs(claim, run), on_leave=lambda: None, slots=1, park_after=0
    )
    engine.start()
    assert claiming.wait(TIMEOUT)
    engine.begin_shut_down()
    go_on.set()
    assert engine.shut_down(TIMEOUT) == []
    assert told == [True]
