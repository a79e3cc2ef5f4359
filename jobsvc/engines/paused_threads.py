"""Which threads of paused jobs are kept: a bounded number, those that were paused last."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic

from jobsvc.engines.live_run import C, LiveRun, S
from jobsvc.identifiers import JobKey


class PausedThreads(Generic[C, S]):
    """The threads that wait for their jobs to be resumed, at most so many (None: any number).

    Everything here is called with the engine's condition held, which guards it.
    """

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._waiting: OrderedDict[JobKey, LiveRun[C, S]] = OrderedDict()
        """The longest paused first."""

    def __len__(self) -> int:
        return len(self._waiting)

    def keep(self, live: LiveRun[C, S]) -> bool:
        """Have a thread wait. One too many: the longest paused ends. Returns False if none may wait, nor this one."""
        if self._most == 0:
            return False
        self._waiting[live.key] = live
        if self._most is not None and len(self._waiting) > self._most:
            _, longest = self._waiting.popitem(last=False)
            longest.end()
        return True

    def let_go(self, live: LiveRun[C, S]) -> None:
        """A thread waits no more: it goes on, or ends."""
        if self._waiting.get(live.key) is live:
            del self._waiting[live.key]
