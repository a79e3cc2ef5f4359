"""Calling a kind's hooks."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from jobsvc.jobs.job import Job
from jobsvc.kinds.contract import JobInfo, Kind

log = logging.getLogger(__name__)


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


def call_hook(kind: Kind, hook: str, job: Job) -> None:
    """Call a hook that tells of something that has happened: its exceptions are logged, and change nothing."""
    try:
        getattr(kind, hook)(job_info(kind, job))
    except BaseException:
        log.exception("job %s: %s of %s failed", job.id, hook, kind.name)
