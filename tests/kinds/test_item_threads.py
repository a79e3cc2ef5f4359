"""Threads for a job's items, where the system allows fewer of them than the kind would like."""

from __future__ import annotations

import threading
from threading import Barrier, Thread

import pytest

from jobsvc.kinds.item_threads import ItemThreads
from tests.support.waiting import TIMEOUT


@pytest.mark.parametrize("allowed", [0, 1])
def test_items_are_done_by_the_threads_that_there_are(monkeypatch: pytest.MonkeyPatch, allowed: int) -> None:
    start, started = Thread.start, []

    def limited(thread: Thread) -> None:
        if len(started) == allowed:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(Thread, "start", limited)
    threads: ItemThreads[str] = ItemThreads(4)
    futures = [threads.begin(lambda: threading.current_thread().name) for _ in range(6)]
    names = {future.result(TIMEOUT) for future in futures}
    threads.close()
    assert names == {started[0].name if allowed else threading.current_thread().name}
    assert not any(thread.is_alive() for thread in started)


def test_as_many_items_are_under_way_as_there_are_threads() -> None:
    threads: ItemThreads[int] = ItemThreads(3)
    together = Barrier(3)
    futures = [threads.begin(lambda: together.wait(TIMEOUT)) for _ in range(3)]
    assert sorted(future.result(TIMEOUT) for future in futures) == [0, 1, 2]
    threads.close()
