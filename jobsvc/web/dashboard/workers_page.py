"""The workers: the processes that run jobs, whether they are alive, and what each has at work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Response

from jobsvc.access.roles import Right
from jobsvc.jobs.states import FINISHED
from jobsvc.service.workers import WorkerProcess
from jobsvc.settings import EngineName
from jobsvc.web.access import needs
from jobsvc.web.dashboard.blueprint import COMMON, PAGE, REFUSED, bp, page
from jobsvc.web.dashboard.presenting import Look
from jobsvc.web.openapi.answers import answers
from jobsvc.web.services import services
from jobsvc.web.takes import takes

EVERY_SECONDS = 2
"""How often the page asks: a worker that is lost shows soon."""

ALIVE = Look("alive", "circle-check", "good")
LATE = Look("late", "hourglass", "wait")
SILENT = Look("silent", "triangle-alert", "bad")


@bp.get("/ui/workers")
@needs(Right.OVERSEE)
@takes(*COMMON)
@answers(PAGE, *REFUSED)
def workers() -> Response:
    """The page with the processes that run jobs."""
    return page("Workers", "dashboard/workers.html", "dashboard/workers_live.html", _found)


def _found() -> Mapping[str, Any]:
    found = services().workers.all()
    alive = [worker for worker in found if worker.alive]
    return {
        "workers": [_row(worker) for worker in found],
        "alive": len(alive),
        "slots": sum(worker.concurrency for worker in alive),
        "used": sum(worker.used for worker in alive),
        "untaken": _untaken(alive),
        "is_fleet": services().settings.engine is EngineName.FLEET,
        "every": EVERY_SECONDS,
    }


def _row(worker: WorkerProcess) -> Mapping[str, Any]:
    return {
        "worker": worker,
        "look": _look(worker),
        # None: it takes all.
        "kinds": sorted(worker.queues) if set(services().kinds).difference(worker.queues) else (),
        "jobs": [
            {"job": job, "percent": job.percent if job.rollback is None else job.rollback_percent}
            for job in worker.running
            # A run that has just ended may still have its place.
            if job.state not in FINISHED
        ],
    }


def _look(worker: WorkerProcess) -> Look:
    if not worker.alive:
        return SILENT
    return LATE if worker.silent_seconds > services().settings.stalled_after / 2 else ALIVE


def _untaken(alive: Sequence[WorkerProcess]) -> Sequence[str]:
    """The kinds of which jobs wait, since no worker takes them. Where there is none at all, that is said instead."""
    if not alive or not all(worker.queues for worker in alive):
        return []
    return sorted(set(services().kinds).difference(*(worker.queues for worker in alive)))
