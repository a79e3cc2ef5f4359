"""What a run of the fleet looks at."""

from __future__ import annotations

from threading import Event, Thread

from jobsvc.runs.signals import FleetSignals
from tests.support.leases import Paper
from tests.support.waiting import TIMEOUT


def test_an_abort_and_a_shutdown_both_stop() -> None:
    aborted = Event()
    signals = FleetSignals(aborted.is_set)
    assert not signals.stop.is_set()
    aborted.set()
    assert signals.stop.is_set()
    other = FleetSignals(lambda: False)
    other.shut_down()
    assert other.stop.is_set()
    assert other.shutting_down


def test_an_abort_that_was_seen_to_is_not_seen_again_but_a_shutdown_is() -> None:
    aborted = Event()
    signals = FleetSignals(aborted.is_set)
    signals.stop.clear()
    aborted.set()
    assert signals.stop.is_set(), "clearing before the abort must not hide it"
    signals.stop.clear()
    assert not signals.stop.is_set()
    signals.shut_down()
    assert signals.stop.is_set()


def test_who_waits_is_woken_by_an_abort() -> None:
    aborted, woken = Event(), Event()
    signals = FleetSignals(aborted.is_set)
    assert not signals.stop.wait(0)

    def wait() -> None:
        assert signals.stop.wait()
        woken.set()

    thread = Thread(target=wait, daemon=True)
    thread.start()
    assert not woken.is_set()
    aborted.set()
    assert woken.wait(TIMEOUT)
    assert signals.stop.wait(TIMEOUT)


def test_a_lease_that_has_run_out_stops_and_no_heeding_hides_it() -> None:
    lease = Paper()
    signals = FleetSignals(lambda: False, lease)
    assert not signals.stop.is_set()
    assert not signals.leaving
    lease.closed = True
    assert signals.stop.is_set()
    assert signals.leaving
    signals.acknowledge()
    assert signals.stop.is_set()
    assert not signals.shutting_down, "what is to be recorded is tried on"


def test_who_waits_for_a_request_is_not_woken_by_the_end_of_a_lease() -> None:
    lease = Paper()
    lease.closed = True
    signals = FleetSignals(lambda: False, lease)
    assert not signals.asked_within(0.01)
    signals.shut_down()
    assert signals.asked_within(TIMEOUT)
