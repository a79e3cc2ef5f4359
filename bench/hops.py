"""How many files of the package a request and its job pass, and how often they go from one into another.

    python -m bench.hops

Traces the calls on all threads: an upload of 20 rows from the request to the job's
end, and a stop of a running job from the request to its answer. A hop is a call
of a function from a function of another file. The same one counts as often as it happens, and
once among the different ones. Threads that look for work add a few by chance.
"""

from __future__ import annotations

import io
import os
import sqlite3
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from flask import Flask

import jobsvc
from bench.workshop import wait_until
from jobsvc.kinds import Batch, CsvParams, CsvWork, JobContext, Kind
from jobsvc.process.app import create_app
from jobsvc.settings import Settings

PACKAGE = str(Path(jobsvc.__file__).parent) + os.sep

ROWS = 20


class Trace:
    """Calls between files of the package. Threads only add to it; what they add is one operation each."""

    def __init__(self) -> None:
        self.files: set[str] = set()
        self.hops: Counter[tuple[str, str, str]] = Counter()

    def profile(self, frame: FrameType, event: str, _argument: Any) -> None:
        name = frame.f_code.co_filename
        if event != "call" or not name.startswith(PACKAGE):
            return
        self.files.add(name)
        caller = frame.f_back
        while caller is not None and not caller.f_code.co_filename.startswith(PACKAGE):
            caller = caller.f_back
        if caller is not None and caller.f_code.co_filename != name:
            self.hops[caller.f_code.co_filename, name, frame.f_code.co_qualname] += 1

    def report(self, what: str) -> str:
        between_rooms = sum(count for (one, other, _), count in self.hops.items() if _room(one) != _room(other))
        in_store = sum(count for (one, other, _), count in self.hops.items() if _room(one) == _room(other) == "store")
        which = f"{len(self.hops)} different; {between_rooms} between rooms, {in_store} within store/"
        return f"{what}: {len(self.files)} files, {self.hops.total()} hops ({which})"

    def details(self) -> Iterator[str]:
        by_arrow: dict[tuple[str, str], list[str]] = {}
        for one, other, function in sorted(self.hops):
            by_arrow.setdefault((one, other), []).append(function)
        for (one, other), functions in sorted(by_arrow.items(), key=lambda arrow: -len(arrow[1])):
            yield f"  {_short(one)} -> {_short(other)}: {', '.join(functions)}"


def _room(path: str) -> str:
    return _short(path).partition(os.sep)[0]


def _short(path: str) -> str:
    return path.removeprefix(PACKAGE).removesuffix(".py")


@contextmanager
def traced() -> Iterator[Trace]:
    """Traces this thread, and those that are alive or begin meanwhile."""
    trace = Trace()
    _current.append(trace)
    yield trace
    _current.remove(trace)


_current: list[Trace] = []


def _profile(frame: FrameType, event: str, argument: Any) -> None:
    for trace in _current:
        trace.profile(frame, event, argument)


class Waiting(Kind):
    """Its items wait until the job is to stop."""

    name = "waiting"
    Params = CsvParams

    def __init__(self) -> None:
        self.reached = threading.Event()

    def open(self, context: JobContext) -> CsvWork:
        return _WaitingWork(context, self.reached)


class _WaitingWork(CsvWork):
    def __init__(self, context: JobContext, reached: threading.Event) -> None:
        super().__init__(context)
        self._stopped, self._reached = context.stopped, reached

    def batches(self) -> Iterator[Batch]:
        return self.source.batches(lambda number, fields: (number, fields))

    def process(self, item: Any) -> None:
        self._reached.set()
        self._stopped.wait(30)


def main() -> int:
    details = "--details" in sys.argv
    # Threads of the service begin to be traced as they begin.
    threading.setprofile(_profile)
    sys.setprofile(_profile)
    kind = Waiting()
    content = ("date,n\n" + "".join(f"2026-01-{day:02},{day}\n" for day in range(1, ROWS + 1))).encode()
    with tempfile.TemporaryDirectory() as directory:
        app = create_app(Settings(data_dir=Path(directory)), own_process=False, extra_kinds=[kind])
        client = app.test_client()

        def upload(route: str, field: str) -> str:
            answer = client.post(route, data={"file": (io.BytesIO(content), "rows.csv")}, buffered=True)
            assert answer.status_code < 300, answer.get_data(as_text=True)
            found: str = answer.get_json()[field]
            return found

        with traced() as whole_upload:
            job_id = upload("/uploadCSV", "Job ID")
            wait_until(lambda: _state(app, job_id) == "succeeded")
        waiting = upload(f"/kinds/{kind.name}/jobs", "id")
        assert kind.reached.wait(30)
        with traced() as stop:
            answer = client.post(f"/jobs/{waiting}/pause?wait=30", buffered=True)
            assert answer.get_json()["state"] == "paused", answer.get_data(as_text=True)
        app.extensions["jobsvc"].close()
    for what, trace in (
        (f"an upload of {ROWS} rows, to its job's end", whole_upload),
        ("a stop of a running job", stop),
    ):
        print(trace.report(what))
        if details:
            print(*trace.details(), sep="\n")
    return 0


def _state(app: Flask, job_id: str) -> str:
    """Straight from the database: asking the service would be traced too."""
    with closing(sqlite3.connect(app.extensions["jobsvc"].settings.data_dir / "jobsvc.db")) as connection:
        (found,) = connection.execute("SELECT state FROM jobs WHERE id = ?", (job_id,)).fetchone()
        return str(found)


if __name__ == "__main__":
    sys.exit(main())
