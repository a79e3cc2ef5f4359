"""The threads on which a `RowKind` has some of a job's items under way at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Generic, TypeVar

T = TypeVar("T")


class ItemThreads(Generic[T]):
    """Up to `count` threads, for one run alone; each is started when it is needed.

    They are daemons, since an item that hangs must not keep the process from ending:
    Python waits at its end for the threads of `concurrent.futures`, and not for these.
    Only the run's own thread calls `begin` and `close`; the items go through a queue.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._threads: list[Thread] = []
        self._work: SimpleQueue[tuple[Future[T], Callable[[], T]] | None] = SimpleQueue()

    def begin(self, do: Callable[[], T]) -> Future[T]:
        """Have an item done. The future holds what it returns or raises, whatever that is.

        If the system allows no further thread, an earlier one does it; if there is none, the caller does.
        """
        future: Future[T] = Future()
        if len(self._threads) < self._count:
            self._start_one()
        if self._threads:
            self._work.put((future, do))
        else:
            _do(future, do)
        return future

    def close(self) -> None:
        """Wait until what was begun is done, and the threads have ended."""
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads:
            thread.join()

    def _start_one(self) -> None:
        # What the run's thread works for: a new thread knows nothing of it by itself.
        live = partial(copy_context().run, self._live)
        thread = Thread(target=live, name=f"jobsvc-item-{len(self._threads)}", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return
        self._threads.append(thread)

    def _live(self) -> None:
        while (work := self._work.get()) is not None:
            _do(*work)


def _do(future: Future[T], do: Callable[[], T]) -> None:
    try:
        future.set_result(do())
    except BaseException as error:
        future.set_exception(error)
