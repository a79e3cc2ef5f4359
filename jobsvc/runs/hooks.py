"""Calling a kind: what its hooks are given, and what becomes of what they raise.

Most hooks tell of one transition. The transaction that makes it decides who calls:
the hook is called by what had it committed, afterwards, and by nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Thread
from typing import Any

from sqlalchemy import Connection, Executable, Table
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import OperationalError

from jobsvc.jobs.job import Job
from jobsvc.jobs.states import HOOKS, State
from jobsvc.kinds.contract import JobInfo, Kind
from jobsvc.logs.private import PRIVATE
from jobsvc.store.inserts.bulk import bulk_insert
from jobsvc.store.inserts.new import insert_new
from jobsvc.traces.spans import Value

log = logging.getLogger(__name__)


def job_params(kind: Kind, params: Mapping[str, Any]) -> Any:
    """A job's stored parameters as an instance of its kind's `Params`. They were checked when it was submitted."""
    return kind.Params.model_validate(dict(params))


def job_info(kind: Kind, job: Job) -> JobInfo:
    return JobInfo(job.id, job.user, job_params(kind, job.params), job.done, job.failed, job.error)


def log_fields(job: Job) -> dict[str, object]:
    """What each line of the log has that is about a job: see `logs/about.py`."""
    return {"job": job.id, "attempt": job.attempt, "user": job.user, "request_id": job.request_id}


def span_fields(job: Job) -> dict[str, Value]:
    """What a span of a run, or of a part of one, says of its job: see `traces/spans.py`."""
    return {
        "jobsvc.job.id": job.id,
        "jobsvc.job.kind": job.kind,
        "jobsvc.job.attempt": job.attempt,
        "jobsvc.request_id": job.request_id,
    }


class CheckpointEffects:
    """The effects of one checkpoint's items, on its connection. Implements `kinds.contract.Effects`."""

    def __init__(self, connection: Connection, job_key: int) -> None:
        self._connection = connection
        self.job_key = job_key

    def insert(self, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
        bulk_insert(self._connection, table, columns, rows)

    def insert_new(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        insert_new(self._connection, table, rows)

    def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]:
        return self._connection.execute(statement, parameters)


class KindBroke(Exception):
    """A kind has raised what would end the thread, or the process, that called it."""


@contextmanager
def contained(kind: Kind) -> Iterator[None]:
    """What a kind raises here is an Exception, whatever it was: it must not end somebody else's thread."""
    try:
        yield
    except Exception:
        raise
    except BaseException as error:
        raise KindBroke(f"{kind.name} raised {type(error).__name__}: {error}") from error


def has_hook(kinds: Mapping[str, Kind], job: Job, state: State) -> bool:
    """Whether the job's kind has something to do when the job comes to that state."""
    name, kind = HOOKS.get(state), kinds.get(job.kind)
    if name is None or kind is None:
        return False
    hook = getattr(kind, name)
    return getattr(hook, "__func__", hook) is not getattr(Kind, name)


def tell(kinds: Mapping[str, Kind], job: Job, after: State | None = None) -> None:
    """Call the hook for the caller's transition of `job` to `after`, which is committed; None: to the state it has.

    Its exceptions are logged, and change nothing.
    """
    hook = HOOKS.get(after or job.state)
    kind = kinds.get(job.kind)
    if hook is None or kind is None:
        return
    try:
        getattr(kind, hook)(job_info(kind, job))
    except BaseException:
        log.exception("%s of %s failed", hook, kind.name, extra={**log_fields(job), **PRIVATE})


def tell_aside(kinds: Mapping[str, Kind], jobs: Sequence[Job]) -> None:
    """Call the hooks of jobs on a thread, for a caller that no hook may keep waiting: a start, a sweep.

    Nobody waits for the thread; what it has not told when the process ends is not told.
    """

    def tell_all() -> None:
        for job in jobs:
            tell(kinds, job)

    if jobs:
        Thread(target=tell_all, name="jobsvc-hooks", daemon=True).start()


def clean_up(connection: Connection, kind: Kind | None, job_key: int) -> None:
    """Have the kind let go of what only a job needed that has succeeded. If it can't, the job has not."""
    if kind is not None:
        with contained(kind):
            kind.clean_up(CheckpointEffects(connection, job_key))


def clean_up_terminated(connection: Connection, kind: Kind | None, job_key: int) -> None:
    """The same for a job that is terminated: it is, whatever the kind says to that. Its exceptions are logged."""
    try:
        with connection.begin_nested():
            clean_up(connection, kind, job_key)
    except OperationalError:
        # The database, and with it the transaction.
        raise
    except Exception:
        what = "a job is terminated, but what only it needed may still be there"
        log.exception(what, extra={"job_key": job_key, **PRIVATE})
