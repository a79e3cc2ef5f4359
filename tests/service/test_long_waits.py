"""Requests that wait long for a run leave threads for others."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from time import monotonic

from flask import Flask

from jobsvc.deadlines import Deadline
from jobsvc.jobs.states import State
from jobsvc.process.http.transfer_slots import TransferSlots
from jobsvc.service.long_waits import MOST, SHORT_SECONDS, LongWaits, UncountedThreads, waits_among
from tests.support.gated import Gated
from tests.support.requests import held
from tests.support.waiting import poll, wait_for


def test_so_many_may_wait_long_and_the_others_shortly() -> None:
    waits = LongWaits(UncountedThreads(1), short=0.5)
    with waits.bounded(Deadline(30)) as first:
        assert first.left() > 29
        with waits.bounded(Deadline(30)) as second:
            assert second.left() <= 0.5
        with waits.bounded(Deadline(0.2)) as third:
            assert third.left() <= 0.2
    with waits.bounded(Deadline(30)) as again:
        assert again.left() > 29


def test_a_short_wait_takes_no_place_from_those_who_wait_long() -> None:
    waits = LongWaits(UncountedThreads(1), short=0.5)
    with waits.bounded(Deadline(0.4)), waits.bounded(Deadline(30)) as long:
        assert long.left() > 29


def test_where_no_thread_is_left_nobody_waits_at_all() -> None:
    slots = TransferSlots(32)
    waits = LongWaits(short=0.5)
    while slots.take():
        pass
    with waits_among(slots), ExitStack() as stack:
        found = [stack.enter_context(waits.bounded(Deadline(30))).left() for _ in range(6)]
        assert [0 < left <= 0.5 for left in found] == [True] * 4 + [False] * 2
        assert found[4:] == [0, 0]
    with waits_among(slots), waits.bounded(Deadline(30)) as again:
        assert again.left() > 0


def test_however_many_wait_for_a_run_that_hangs_another_is_answered_soon(app: Flask, gated: Gated) -> None:
    services = app.extensions["jobsvc"]
    job_id = held(services, gated)
    with ThreadPoolExecutor(MOST + 1) as threads:
        waiting = [
            threads.submit(app.test_client().post, f"/jobs/{job_id}/pause?wait=30", buffered=True) for _ in range(MOST)
        ]
        poll(lambda: services.jobs.settling._long_waits._uncounted._free._value == 0, 30, "all of them to wait")
        begun = monotonic()
        answer = app.test_client().post(f"/jobs/{job_id}/pause?wait=30", buffered=True)
        assert (answer.status_code, answer.get_json()["state"]) == (202, "pausing")
        assert SHORT_SECONDS <= monotonic() - begun < 15
        gated.gate.open()
        assert {answer.result().status_code for answer in waiting} == {200}
    assert wait_for(services, job_id, State.PAUSED)
