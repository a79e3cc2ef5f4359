"""For `pause_hops.py`: processes of a fleet that load this, by JOBSVC_KINDS, stamp what a pause passes.

A stamp is a line of JSON in the file that BENCH_STAMPS names: the moment on the machine's monotonic
clock, which all processes share, what happens, and to which job. It costs some microseconds.
"""

from __future__ import annotations

import functools
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from jobsvc.engines.fleet import supervised_worker
from jobsvc.runs import hooks
from jobsvc.runs.checkpoints import writer
from jobsvc.runs.fleet_runs import FleetRuns
from jobsvc.service.settling import Settling
from jobsvc.service.steering import Steering
from jobsvc.store.database import Database
from tests.support.ticks import Ticks

__all__ = ["Ticks"]

_file = os.open(os.environ["BENCH_STAMPS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

_run = threading.local()
"""On the thread of a run: the `key` of its job, and the state in which its checkpoint `leaves` the job."""


def _stamp(what: str, key: int | None, more: object = None) -> None:
    os.write(_file, json.dumps([time.monotonic(), what, key, more]).encode() + b"\n")


def _around(owner: Any, name: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    original = getattr(owner, name)
    setattr(owner, name, functools.wraps(original)(wrap(original)))


def _pause(original: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(self: Any, job_id: str, *args: Any, **named: Any) -> Any:
        _stamp("asked", None, job_id)
        job = original(self, job_id, *args, **named)
        _stamp("answered", job.key, job_id)
        return job

    return wrapped


def _settle(original: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(self: Any, job: Any, *args: Any) -> Any:
        _stamp("written", job.key)
        return original(self, job, *args)

    return wrapped


def _begin_run(original: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(self: Any, key: int, entry: int, signals: Any) -> Any:
        _run.key = key
        _stamp("began", key, entry)
        return original(self, key, entry, signals)

    return wrapped


def _told(original: Callable[..., Any]) -> Callable[..., Any]:
    async def wrapped(self: Any, **told: Any) -> Any:
        if told["notification"]["type"] == "abort_job_requested":
            _stamp("told", None, told["notification"]["job_id"])
        return await original(self, **told)

    return wrapped


def _begin_checkpoint(original: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(*args: Any, **named: Any) -> Any:
        _stamp("checkpoint", getattr(_run, "key", None))
        return original(*args, **named)

    return wrapped


def _insert(original: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(*args: Any) -> Any:
        original(*args)
        _stamp("inserted", getattr(_run, "key", None), len(args[3]))

    return wrapped


def _obey(original: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(*args: Any, **named: Any) -> Any:
        _run.leaves = original(*args, **named)
        return _run.leaves

    return wrapped


def _write(original: Callable[..., Any]) -> Callable[..., Any]:
    @contextmanager
    def wrapped(self: Any, **named: Any) -> Iterator[Any]:
        with original(self, **named) as connection:
            yield connection
        if getattr(_run, "leaves", None) is not None:
            _stamp("committed", _run.key, _run.leaves)
            _run.leaves = None

    return wrapped


_around(Steering, "pause", _pause)
_around(Settling, "settle", _settle)
_around(FleetRuns, "run", _begin_run)
_around(supervised_worker._QueueWorker, "_handle_notification", _told)
_around(writer, "current", _begin_checkpoint)
_around(hooks, "bulk_insert", _insert)
_around(writer, "obey", _obey)
_around(Database, "write", _write)
