"""Calling a kind's hooks.

Each tells of one transition. The transaction that makes it decides who calls: the
hook is called by whoever had it committed, afterwards, and by nobody else.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Thread
from typing import Any

from jobsvc.jobs.job import Job
from jobsvc.jobs.states import State
from jobsvc.kinds.contract import JobInfo, Kind

log = logging.getLogger(__name__)

HOOKS = {
    State.PAUSED: "on_pause",
    State.SUCCEEDED: "on_success",
    State.FAILED: "on_failure",
    State.TERMINATED: "on_terminate",
}
"""Which hook is called for where a job was taken that has begun, or was terminated."""


def job_params(kind: Kind, params: Mapping[str, Any]) -> Any:
    """A job's stored parameters as an instance of its kind's `Params`. They were checked when it was submitted."""
    return kind.Params.model_validate(dict(params))


def job_info(kind: Kind, job: Job) -> JobInfo:
    return JobInfo(job.id, job.user, job_params(kind, job.params), job.done, job.failed, job.error)


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
        log.exception("job %s: %s of %s failed", job.id, hook, kind.name)


def tell_aside(kinds: Mapping[str, Kind], jobs: Sequence[Job]) -> None:
    """Call the hooks of jobs on a thread, for a caller that no hook may keep waiting: a start, a sweep.

    Nobody waits for the thread; what it has not told when the process ends is not told.
    """

    def tell_all() -> None:
        for job in jobs:
            tell(kinds, job)

    if jobs:
        Thread(target=tell_all, name="jobsvc-hooks", daemon=True).start()
