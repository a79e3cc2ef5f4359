"""Who is closed where there are too many connections, and what the main loop does where nobody may be."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

import pytest
from gunicorn.config import Config

from jobsvc.process.http.client_timeouts import ClientTimeouts
from jobsvc.process.http.connection import Connection, Stage
from jobsvc.process.http.eviction import SHELTER_SECONDS, connection_to_close
from jobsvc.process.http.gunicorn_worker import HttpWorker
from jobsvc.process.http.loop import LOOK_SECONDS

Make = Callable[..., Connection]


@pytest.fixture
def make() -> Iterator[Make]:
    """A connection in a stage, so many seconds old."""
    sockets = []

    def made(stage: Stage, age: float, *, served: bool = False) -> Connection:
        pair = socket.socketpair()
        sockets.extend(pair)
        conn = Connection(Config(), pair[0], ("127.0.0.1", 1), ("127.0.0.1", 2), ClientTimeouts())
        conn.stage, conn.since, conn.initialized = stage, monotonic() - age, served
        return conn

    yield made
    for one in sockets:
        one.close()


def test_one_that_has_just_come_is_not_closed_for_halves_of_requests(make: Make) -> None:
    new = make(Stage.IDLE, 0)
    halves = [make(Stage.BODY, 5), make(Stage.CHUNKS, 6), make(Stage.HEAD, 4), make(Stage.WAITING, 3)]
    assert connection_to_close([new, *halves]) is halves[1]
    assert connection_to_close([new, halves[3]]) is halves[3]
    assert connection_to_close([new, make(Stage.BODY, SHELTER_SECONDS / 10)]) is None
    assert connection_to_close([]) is None


def test_those_that_are_done_make_room_first(make: Make) -> None:
    half = make(Stage.BODY, 9)
    silent = make(Stage.IDLE, 8)
    served = [make(Stage.IDLE, 0.1, served=True), make(Stage.IDLE, 0.2, served=True)]
    assert connection_to_close([half, silent, *served]) is served[1]
    assert connection_to_close([half, silent]) is half
    refused = make(Stage.LINGERING, 0)
    assert connection_to_close([half, *served, refused]) is refused


class Listener:
    def __init__(self, error: int) -> None:
        self._error = error

    def accept(self) -> Any:
        raise OSError(self._error, "from accept")


@pytest.fixture
def worker() -> HttpWorker:
    config = Config()
    config.set("threads", 4)
    return HttpWorker(1, 1, [], None, 1, config, None)


@pytest.mark.parametrize("name", ["EAGAIN", "ECONNABORTED", "ENETDOWN", "EPROTO", "EHOSTUNREACH", "EPERM"])
def test_a_connection_that_was_lost_before_it_was_accepted_ends_nothing(worker: HttpWorker, name: str) -> None:
    worker.accept(Listener(getattr(errno, name)))
    assert worker._accept_at == 0
    with pytest.raises(OSError, match="from accept"):
        worker.accept(Listener(errno.EBADF))


def test_without_descriptors_and_without_anybody_to_close_nobody_is_accepted_for_a_moment(worker: HttpWorker) -> None:
    before = monotonic()
    worker.accept(Listener(errno.EMFILE))
    assert before + LOOK_SECONDS <= worker._accept_at <= monotonic() + LOOK_SECONDS


def test_all_threads_are_there_from_the_beginning(worker: HttpWorker) -> None:
    with worker.get_thread_pool() as pool:
        assert len(pool._threads) == 4


def test_a_shutdown_leaves_time_for_what_comes_after_the_connections(
    worker: HttpWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0

    def wait(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr("jobsvc.process.http.loop.monotonic", lambda: now)
    monkeypatch.setattr(worker, "wait_for_and_dispatch_events", wait)
    monkeypatch.setattr(worker, "notify", lambda: None)
    worker.cfg.set("graceful_timeout", 10)
    worker.tpool = worker.get_thread_pool()
    # A thread has it, and keeps it.
    worker.nr_conns = 1
    worker._stop()
    assert 8.4 < now < 8.7
