"""The thread that carries out actions on many jobs, in a process that answers requests."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event, Thread

from jobsvc.service.actions.carrying_out import Step
from jobsvc.store.errors import DatabaseClosed, unexplained

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
"""The pause after a step that went wrong."""

WAIT_SECONDS = 0.25
"""The pause after a step that could not be made: a job is pausing, or another process is at it."""

LOOK_SECONDS = 2.0
"""The polling interval where other processes may leave actions when they die; the only process is told of all."""


class ActionThread:
    """Makes one step after another, from the start on: what the last process has left goes on.

    Nothing is shared but two events.
    """

    def __init__(self, step: Callable[[], Step], *, shared: bool) -> None:
        """`shared`: there are other processes that make steps of the same actions."""
        self._step = step
        self._shared = shared
        self._stopped = Event()
        self._woken = Event()
        self._thread = Thread(target=self._live, name="jobsvc-actions", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """There is something to do. Returns at once."""
        self._woken.set()

    def begin_shut_down(self) -> None:
        """Make no further step. Returns at once."""
        self._stopped.set()
        self._woken.set()

    def shut_down(self, seconds: float) -> None:
        """Begin to shut down, and wait up to `seconds` for the thread to end."""
        self.begin_shut_down()
        if self._thread.ident is not None:
            self._thread.join(max(0.0, seconds))

    def _live(self) -> None:
        told = False
        while not self._stopped.is_set():
            # Before the step, so that what is asked during it isn't missed.
            self._woken.clear()
            try:
                step = self._step()
                told = False
            except DatabaseClosed:
                return
            except Exception as error:
                if not told:
                    what = "an action on many jobs can't go on, trying again every %s s: %s"
                    log.error(what, RETRY_SECONDS, error, exc_info=unexplained(error))
                told = True
                self._stopped.wait(RETRY_SECONDS)
                continue
            if step is Step.WAITING:
                self._stopped.wait(WAIT_SECONDS)
            elif step is Step.NOTHING_TO_DO and not self._stopped.is_set():
                self._woken.wait(LOOK_SECONDS if self._shared else None)
