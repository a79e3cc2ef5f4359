"""What the slots of a thread engine are for, made of a test's functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from jobsvc.runs.signals import Signals

C = TypeVar("C")


class GivenJobs(Generic[C]):
    """Implements `engines.threads.Jobs`."""

    def __init__(
        self,
        claim: Callable[[], C | None] = lambda: None,
        run: Callable[[C, Signals], str | None] = lambda claimed, signals: None,
        due_in: Callable[[], float | None] = lambda: None,
    ) -> None:
        self.claim, self.run, self.due_in = claim, run, due_in

    def new_signals(self) -> Signals:
        return Signals()
