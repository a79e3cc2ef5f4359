"""The process of a queue worker, in which nothing is noted."""

from __future__ import annotations

from collections.abc import Callable

from jobsvc.engines.fleet.lease import Lease
from jobsvc.identifiers import Purpose
from jobsvc.runs.signals import FleetSignals


class PlainProcess:
    """Implements `supervised_worker.Process`."""

    def new_signals(self, should_abort: Callable[[], bool], lease: Lease) -> FleetSignals:
        return FleetSignals(should_abort, lease)

    def registered(self, number: int, purpose: Purpose) -> None:
        pass
