"""Fifty open pages beside eight busy slots: what they cost imports and pauses."""

from __future__ import annotations

import heapq
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from http.client import HTTPConnection
from statistics import median
from threading import Event, Thread
from types import TracebackType
from typing import Self

from bench.client import TIMEOUT_SECONDS
from bench.measure import Stopwatch, middle_pair, percentile
from bench.report import Row, at_most, times
from bench.steering import PAUSE_AT_MOST_MS, SLOTS
from bench.workshop import Running, Workshop, wait_until

PAGES = 50
"""Open pages, and jobs on each."""

LIVE_PATH = "/?live=1"
EVERY_SECONDS = 2.0
"""How often a page asks while jobs run (`live.js`), give or take a tenth."""

AT_LEAST = 0.95
WINDOW_SECONDS = 2.0
PAUSE_EVERY_SECONDS = 0.25
SUBMITTED = 2 * SLOTS
"""Unfinished jobs at the beginning of each window, so that no slot is free before its end."""


def rows(workshop: Workshop) -> Iterator[Row]:
    alone, watched = _Windows(), _Windows()
    with workshop.server() as running:
        load = _Load(workshop, running)
        for _ in range(workshop.scale.windows):
            for windows, pages in ((alone, 0), (watched, PAGES)):
                load.measure(windows, pages)
    what = f"{PAGES} open pages, {SLOTS} slots busy"
    pair = middle_pair(list(zip(watched.speeds, alone.speeds, strict=True)))
    yield times(f"imports beside {what}", *pair, unit="rows/s", against="no page open", at_least=AT_LEAST)
    for percent in (50, 99):
        yield at_most(
            f"pause answered beside {what}, p{percent} of {len(watched.pauses)}",
            percentile(watched.pauses, percent),
            PAUSE_AT_MOST_MS[SLOTS],
            unit="ms",
            reference=percentile(alone.pauses, percent),
            against="no page open",
        )
    yield at_most(
        f"a page's live part, median of {len(watched.looks)}, {SLOTS} slots busy",
        median(watched.looks),
        EVERY_SECONDS * 1000 / 4,
        unit="ms",
    )


@dataclass
class _Windows:
    """What was measured: speeds in rows per second, times in ms."""

    speeds: list[float] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    looks: list[float] = field(default_factory=list)


class _Load:
    """A server that imports with all slots, and has more jobs than a page shows."""

    def __init__(self, workshop: Workshop, running: Running) -> None:
        self._running = running
        self._file = workshop.part(workshop.scale.watched_rows)
        self._chance = random.Random(PAGES)
        small = workshop.part(1)
        for job_id in [running.upload(small) for _ in range(PAGES)]:
            running.wait_succeeded(job_id)

    def measure(self, windows: _Windows, pages: int) -> None:
        """One window, with so many open pages."""
        self._fill()
        path = self._running.server.data_dir / "jobsvc.db"
        with ExitStack() as stack:
            database = stack.enter_context(closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)))
            opened = stack.enter_context(OpenPages(self._running.server.port, pages))
            watch, before = Stopwatch(), _done(database)
            while watch.seconds < WINDOW_SECONDS:
                time.sleep(self._chance.uniform(0, 2 * PAUSE_EVERY_SECONDS))
                self._pause(windows)
            windows.speeds.append((_done(database) - before) / watch.seconds)
        windows.looks += opened.looks

    def _fill(self) -> None:
        unfinished = len(self._running.in_state("running")) + len(self._running.in_state("queued"))
        for _ in range(SUBMITTED - unfinished):
            self._running.upload(self._file)
        wait_until(lambda: len(self._running.in_state("running")) == SLOTS)

    def _pause(self, windows: _Windows) -> None:
        job_id = self._chance.choice(self._running.in_state("running"))
        answer = self._running.pause(job_id)
        if answer.status == 409 or answer.json["state"] == "succeeded":
            return
        assert answer.json["state"] == "paused", answer
        windows.pauses.append(answer.seconds * 1000)
        self._running.resume(job_id)


def _done(database: sqlite3.Connection) -> int:
    done: int = database.execute("SELECT sum(done) FROM jobs").fetchone()[0]
    return done


class OpenPages:
    """Lists of jobs that are open in browsers, in one thread: each asks for its live part again and again,
    with the tag of the last, over a connection of its own, which stays open."""

    def __init__(self, port: int, pages: int) -> None:
        self._chance = random.Random(pages)
        # When each asks next, and the tag of what it has. They were opened at different moments.
        self._due = [(self._chance.uniform(0, EVERY_SECONDS), number, "") for number in range(pages)]
        heapq.heapify(self._due)
        self._connections = [HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS) for _ in range(pages)]
        self._ended = Event()
        self._thread = Thread(target=self._ask_all)
        self.looks: list[float] = []
        """How long each answer took, in ms."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()
        for connection in self._connections:
            connection.close()

    def _ask_all(self) -> None:
        watch = Stopwatch()
        while self._due:
            due, number, tag = heapq.heappop(self._due)
            if self._ended.wait(max(0.0, due - watch.seconds)):
                return
            tag = self.ask(self._connections[number], tag)
            after = EVERY_SECONDS * self._chance.uniform(0.9, 1.1)
            heapq.heappush(self._due, (watch.seconds + after, number, tag))

    def ask(self, connection: HTTPConnection, tag: str) -> str:
        """Ask once, with the tag of what the page has; returns that of the answer."""
        headers = {"Accept": "*/*", "Cache-Control": "max-age=0", "Sec-Fetch-Site": "same-origin"}
        watch = Stopwatch()
        connection.request("GET", LIVE_PATH, headers=headers | ({"If-None-Match": tag} if tag else {}))
        answer = connection.getresponse()
        body = answer.read()
        self.looks.append(watch.seconds * 1000)
        assert answer.status in (200, 304), body
        assert (len(body) > 10_000) == (answer.status == 200), "a part without jobs"
        return answer.headers["ETag"]
