"""When a process that has a web server ends: at a signal, or with the interpreter, whatever server it runs under.

What ends in which order is in `web_process.py`. A worker ends by itself: `engines/fleet/worker.py`.

A signal only begins the shutdown: runs are told to commit and leave while the
server, to whose own handler the signal is passed on, finishes its requests.
`Shutdown.finish` does the rest, within the bound. It is called by gunicorn's
`worker_exit` hook and, for all other ways in which a process ends, by atexit.
The threads are daemons: atexit runs after all other threads were joined, and
would wait for them for ever.

Where no server has a handler, the signal would end the main thread with an
exception wherever it stands, also right after it has taken a lock, which then
nobody lets go. There the signal is held back until everything has ended.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from time import monotonic
from types import FrameType

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)

MARGIN_SECONDS = 1.5
"""The part of the bound that is kept for the end of the interpreter and of a server's other processes."""


@dataclass(frozen=True)
class Asked:
    """A signal that asks the process to end."""

    number: signal.Signals
    held_back: bool
    """Whether it is to be sent again when everything has ended."""


class Shutdown:
    """Runs `begin` at the first sign of the end, and `finish(seconds left)` once, at the end.

    `seconds` is the bound on all of it, counted from the first sign.
    """

    def __init__(self, seconds: float, begin: Callable[[], None], finish: Callable[[float], None]) -> None:
        self._seconds = seconds
        self._begin = begin
        self._finish = finish
        self._lock = threading.Lock()
        """Guards `_finished`; held while finishing, so that a second caller waits for the first."""
        self._finished = False
        self._installed = False
        self._deadline: float | None = None
        # put() may be called from a signal handler: it is reentrant (see the queue module).
        self._asked: SimpleQueue[Asked] = SimpleQueue()
        self._ended = False
        """Whether all has ended; written under `_lock`, read by signal handlers without it."""

    @property
    def begun(self) -> bool:
        return self._deadline is not None

    def install(self) -> None:
        """Listen for signals (where this is possible: on the main thread) and for the interpreter's end."""
        self._installed = True
        threading.Thread(target=self._watch, name="jobsvc-shutdown", daemon=True).start()
        atexit.register(self.finish)
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                self._chain(signal.Signals(number))

    def _chain(self, number: signal.Signals) -> None:
        before = signal.getsignal(number)
        if before is signal.SIG_IGN:
            return
        ends_at_once = before in (signal.SIG_DFL, signal.default_int_handler)

        def handle(signum: int, frame: FrameType | None) -> None:
            if ends_at_once and not self._ended:
                self._asked.put(Asked(number, held_back=True))
                return
            self._asked.put(Asked(number, held_back=False))
            if callable(before):
                before(signum, frame)
            else:
                raise SystemExit(128 + signum)

        signal.signal(number, handle)

    def _watch(self) -> None:
        """Do what a signal asks for: its handler itself may take no lock."""
        while not self._ended:
            asked = self._asked.get()
            log.info("shutting down: %s", asked.number.name)
            self.start()
            if asked.held_back:
                self.finish()
                os.kill(os.getpid(), asked.number)

    def start(self) -> None:
        """The first sign of the end. Returns at once."""
        if self._deadline is None:
            self._deadline = monotonic() + self._seconds - MARGIN_SECONDS
        self._begin()

    def finish(self) -> None:
        """Wait, within what is left of the bound, until everything has ended. Only the first call does anything."""
        with self._lock:
            if self._finished:
                return
            self._finished = True
            if self._installed and threading.current_thread() is threading.main_thread():
                # A second Ctrl-C, or what gunicorn makes of it, must not break off what keeps the data right.
                for number in (*SIGNALS, signal.SIGQUIT):
                    signal.signal(number, signal.SIG_IGN)
            self.start()
            assert self._deadline is not None
            try:
                self._finish(max(0.0, self._deadline - monotonic()))
            finally:
                self._ended = True
                atexit.unregister(self.finish)
