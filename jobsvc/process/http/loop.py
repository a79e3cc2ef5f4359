"""The main loop of the HTTP server: it holds every connection that no thread has, and never waits for a client.

It collects header and small body of each request before a thread is given to it,
lets uploads wait for a slot, sends what is left of small answers, and lingers on
connections that end.
"""

from __future__ import annotations

import resource
import selectors
import socket
from collections import deque
from concurrent.futures import Future
from functools import partial
from time import monotonic
from typing import Any

from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

from jobsvc.process.http.accept_errors import GONE, NO_ROOM
from jobsvc.process.http.answer import broken_off, head_too_long, no_slot, too_late
from jobsvc.process.http.beyond_wsgi import TOLD_OF_REQUESTS, ToldOfRequests
from jobsvc.process.http.client_socket import CONTINUE
from jobsvc.process.http.client_timeouts import ClientTimeouts
from jobsvc.process.http.connection import Connection, Next, Stage
from jobsvc.process.http.eviction import connection_to_close
from jobsvc.process.http.request_head import MAX_HEAD_BYTES
from jobsvc.process.http.transfer_slots import TransferSlots

READ_BYTES = 64 * 1024

MAX_DRAIN_BYTES = 64 * 1024 * 1024
"""What is read, and thrown away, after the last answer of a connection."""

TICK_SECONDS = 1.0
STOPPING_TICK_SECONDS = 0.1
LOOK_SECONDS = 0.1
"""Deadlines are checked at most so often, and at least once a tick."""

END_SECONDS = 1.5
"""When so much is left of the time for a shutdown, wait for no connection any longer: the runs must end as well."""


class HttpLoop(ThreadWorker):  # type: ignore[misc]
    """All attributes are the main thread's, and only its; `_slots` has a lock of its own. `_told` does not change once
    there are requests: any thread reads it.

    A connection is in `_held` (in the poller), in `_waiting` (for a slot), or in `_busy` (a
    thread has it).
    """

    timeouts = ClientTimeouts()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.alive: bool
        self.worker_connections: int
        # Files and the database need descriptors too.
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if descriptors != resource.RLIM_INFINITY:
            self.worker_connections = min(self.worker_connections, max(descriptors // 2, 1))
        self._slots = TransferSlots(self.cfg.threads)
        self._held: dict[Connection, None] = {}
        self._waiting: deque[Connection] = deque()
        self._busy: set[Connection] = set()
        self._stop_at: float | None = None
        self._look_at = 0.0
        self._accept_at = 0.0
        """No connection is accepted before then: there is no room, and none can be made."""
        self._told: ToldOfRequests | None = None

    def load_wsgi(self) -> None:
        super().load_wsgi()
        self._told = getattr(self.wsgi, "extensions", {}).get(TOLD_OF_REQUESTS)

    # The main loop.

    def run(self) -> None:
        self.poller.register(self.method_queue.fileno(), selectors.EVENT_READ, self.method_queue.run_callbacks)
        while self.alive:
            self.notify()
            if self.nr_conns >= self.worker_connections:
                self._make_room()
            accepts = self.nr_conns < self.worker_connections and monotonic() >= self._accept_at
            self.set_accept_enabled(accepts)
            self.wait_for_and_dispatch_events(TICK_SECONDS if accepts else LOOK_SECONDS)
            if not self.is_parent_alive():
                break
            self._expire()
        self._stop()

    def _stop(self) -> None:
        """Finish what has begun; what has not, has a moment."""
        self.set_accept_enabled(False)
        seconds = self.cfg.graceful_timeout
        until = monotonic() + max(seconds - END_SECONDS, seconds / 2)
        self._stop_at = monotonic() + self.timeouts.stop
        for conn in self._held:
            conn.deadline = min(conn.deadline, self._stop_at)
        for conn in list(self._waiting):
            self._give_up(conn)
        while self.nr_conns > 0 and monotonic() < until:
            self.notify()
            self.wait_for_and_dispatch_events(STOPPING_TICK_SECONDS)
            self._expire()
            self._cut_silent()
        for conn in (*self._held, *self._waiting):
            self._close(conn)
        for conn in self._busy:
            _cut(conn)
        self.tpool.shutdown(wait=False)
        for listener in self.sockets:
            listener.close()
        # Poller and queue end with the process: a thread that still answers would write its
        # wake-up call into whatever file has the number of the closed one by then.

    def _deadline(self, seconds: float) -> float:
        now = monotonic()
        if self._stop_at is None:
            return now + seconds
        return min(now + seconds, max(self._stop_at, now + STOPPING_TICK_SECONDS))

    def _expire(self) -> None:
        now = monotonic()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_SECONDS
        for conn in [conn for conn in (*self._held, *self._waiting) if conn.deadline <= now]:
            self._give_up(conn)

    def _give_up(self, conn: Connection) -> None:
        match conn.stage:
            case Stage.WAITING:
                self._refuse(conn, no_slot(self._slots))
            case Stage.HEAD if self.alive:
                self._refuse(conn, too_late(self.timeouts.head, "header"))
            case Stage.CHUNKS if self.alive:
                conn.seems_large = True
                self._look(conn)
            case Stage.BODY if self.alive:
                self._refuse(conn, too_late(self.timeouts.body, "body"))
            case _:
                self._close(conn)

    def _cut_silent(self) -> None:
        """At a shutdown, don't wait for transfers whose clients do nothing."""
        now = monotonic()
        for conn in self._busy:
            receiving, sending = conn.sock.receiving_since, conn.sock.sending_since
            if (receiving is not None and now - receiving > self.timeouts.stop_upload) or (
                sending is not None and now - sending > self.timeouts.stop_download
            ):
                _cut(conn)

    def _make_room(self) -> bool:
        """Close one connection that no thread has. Returns False where none may be closed yet."""
        conn = connection_to_close((*self._held, *self._waiting))
        if conn is not None:
            self._close(conn)
        return conn is not None

    # Requests come.

    def accept(self, listener: Any) -> None:
        try:
            client, address = listener.accept()
        except OSError as error:
            if error.errno in NO_ROOM:
                if not self._make_room():
                    self._accept_at = monotonic() + LOOK_SECONDS
            elif error.errno not in GONE:
                raise
            return
        self.nr_conns += 1
        conn = Connection(self.cfg, client, address, listener.getsockname(), self.timeouts)
        conn.deadline = self._deadline(self.timeouts.head)
        self._held[conn] = None
        self._receive(conn)

    def _on_event(self, conn: Connection, _: object) -> None:
        # Another event of the same round may have closed it.
        if conn not in self._held:
            return
        match conn.stage:
            case Stage.LINGERING:
                self._drain(conn)
            case Stage.ANSWERING:
                self._go_on(conn)
            case _:
                self._receive(conn)

    def _receive(self, conn: Connection) -> None:
        try:
            data = conn.sock.receive(READ_BYTES)
        except OSError:
            self._close(conn)
            return
        if data is None:
            self._hold(conn, selectors.EVENT_READ)
        elif data:
            conn.gathered += data
            self._look(conn)
        elif conn.stage in (Stage.BODY, Stage.CHUNKS):
            self._refuse(conn, broken_off())
        else:
            self._close(conn)

    def _look(self, conn: Connection) -> None:
        """Do what the request needs next."""
        step = conn.look()
        if step is Next.GO_ON:
            conn.sock.unsent += CONTINUE
            if not self._flushed(conn):
                return
            step = Next.BODY
        match step:
            case Next.HEAD:
                self._await(conn, Stage.HEAD, self.timeouts.head)
            case Next.BODY:
                self._await(conn, Stage.BODY, self.timeouts.body)
            case Next.CHUNKS:
                self._await(conn, Stage.CHUNKS, self.timeouts.chunks)
            case Next.THREAD:
                self._let_go(conn)
                self._hand_over(conn)
            case Next.SLOT if self._slots.take():
                conn.has_slot = True
                self._let_go(conn)
                self._hand_over(conn)
            case Next.SLOT:
                self._let_go(conn)
                conn.stage = Stage.WAITING
                conn.deadline = self._deadline(self.timeouts.slot)
                self._waiting.append(conn)
            case _:
                self._refuse(conn, head_too_long(MAX_HEAD_BYTES))

    def _await(self, conn: Connection, stage: Stage, seconds: float) -> None:
        if conn.stage is not stage:
            # The header of a connection's first request has its deadline from the beginning.
            if conn.initialized or stage is not Stage.HEAD:
                conn.deadline = self._deadline(seconds)
            conn.stage = stage
        self._hold(conn, selectors.EVENT_READ)

    def _hand_over(self, conn: Connection) -> None:
        self._busy.add(conn)
        if self._told is not None:
            self._told.come()
        # Tells gunicorn's `handle` not to wait for more.
        conn.data_ready = True
        self.enqueue_req(conn)

    def _admit(self) -> None:
        """Give free slots to the uploads that wait for them."""
        while self._waiting and self._slots.take():
            conn = self._waiting.popleft()
            conn.has_slot = True
            self._hand_over(conn)

    # The answer was sent, or what a thread may send of it.

    def finish_request(self, conn: Connection, fs: Future[bool]) -> None:
        self._busy.discard(conn)
        if conn.has_slot:
            conn.has_slot = False
            self._slots.give_back()
        # A request that waited for a job, too, has given back its slot.
        self._admit()
        failed = None if fs.cancelled() else fs.exception()
        if failed is not None:
            self.log.error("a request ended its thread", exc_info=failed)
        conn.keep = not fs.cancelled() and failed is None and fs.result()
        conn.sock.collect()
        conn.stage = Stage.ANSWERING
        conn.deadline = self._deadline(self.timeouts.answer)
        self._held[conn] = None
        if conn.sock.breaks_off:
            self._close(conn)
        else:
            self._go_on(conn)

    def _refuse(self, conn: Connection, answer: bytes) -> None:
        """Send an answer of the server's own, and close."""
        status = answer[len("HTTP/1.1 ") : answer.index(b"\r\n")].decode()
        write = self.log.warning if status.startswith("5") else self.log.info
        write("answered without a route: %s", status)
        if conn.stage is Stage.WAITING:
            self._waiting.remove(conn)
            self._held[conn] = None
        conn.sock.unsent += answer
        conn.keep = False
        conn.stage = Stage.ANSWERING
        conn.deadline = self._deadline(self.timeouts.answer)
        self._go_on(conn)

    def _go_on(self, conn: Connection) -> None:
        """Send what is left of the answer; then the next request is due, or the end."""
        if not self._flushed(conn):
            return
        if not conn.keep:
            self._linger(conn)
            return
        conn.begin_next()
        conn.stage = Stage.IDLE
        conn.deadline = self._deadline(self.cfg.keepalive)
        if conn.gathered:
            self._look(conn)
        else:
            self._hold(conn, selectors.EVENT_READ)

    def _flushed(self, conn: Connection) -> bool:
        """Whether all was sent; if not, the poller has the connection, or it is closed."""
        try:
            if conn.sock.flush():
                return True
        except OSError:
            self._close(conn)
            return False
        self._hold(conn, selectors.EVENT_WRITE)
        return False

    def _linger(self, conn: Connection) -> None:
        """Close for sending, and wait for the client to close too: closing at once could cost it the answer."""
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(conn)
            return
        conn.stage = Stage.LINGERING
        conn.linger_until = self._deadline(self.timeouts.longest_linger)
        conn.deadline = self._deadline(self.timeouts.linger)
        self._drain(conn)

    def _drain(self, conn: Connection) -> None:
        try:
            data = conn.sock.receive(READ_BYTES)
        except OSError:
            data = b""
        if data is not None:
            conn.drained += len(data)
            if not data or conn.drained > MAX_DRAIN_BYTES:
                self._close(conn)
                return
            conn.deadline = min(self._deadline(self.timeouts.linger), conn.linger_until)
        self._hold(conn, selectors.EVENT_READ)

    # The poller.

    def _hold(self, conn: Connection, events: int) -> None:
        if conn.events == events:
            return
        if conn.events:
            self.poller.modify(conn.sock, events, partial(self._on_event, conn))
        else:
            self.poller.register(conn.sock, events, partial(self._on_event, conn))
        conn.events = events

    def _let_go(self, conn: Connection) -> None:
        del self._held[conn]
        if conn.events:
            conn.events = 0
            self.poller.unregister(conn.sock)

    def _close(self, conn: Connection) -> None:
        if conn.stage is Stage.WAITING:
            self._waiting.remove(conn)
        else:
            self._let_go(conn)
        self.nr_conns -= 1
        conn.close()


def _cut(conn: Connection) -> None:
    """Let the thread that waits for the client see the end of the connection."""
    if conn.sock.breaks_off:
        conn.sock.cut()
        return
    try:
        conn.sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
