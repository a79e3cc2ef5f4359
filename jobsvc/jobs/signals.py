"""What a run looks at before every item."""

from __future__ import annotations

from threading import Event


class Signals:
    """The requests that reach one run.

    `stop` is set for a pause, a terminate and a shutdown alike, so that the run
    has one thing to look at. What was asked is read from the job's row, which is
    the truth; only a shutdown, which concerns the process and not the job, is
    told by `shutting_down`. Both are written by other threads and read by the
    run without a lock: an Event and a bool that only ever turns true.
    """

    __slots__ = ("shutting_down", "stop")

    def __init__(self) -> None:
        self.stop = Event()
        self.shutting_down = False

    def shut_down(self) -> None:
        """Ask the run to commit and leave because the process ends."""
        self.shutting_down = True
        self.stop.set()
