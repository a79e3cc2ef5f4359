"""The processes that run jobs."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from jobsvc.access.roles import Right
from jobsvc.jobs.job import Job
from jobsvc.jobs.representation import moment
from jobsvc.service.workers import WorkerProcess
from jobsvc.web.access import needs
from jobsvc.web.openapi.answers import answers
from jobsvc.web.services import services
from jobsvc.web.takes import takes

bp = Blueprint("workers", __name__)


@bp.get("/workers")
@needs(Right.OVERSEE)
@takes()
@answers("Workers")
def workers() -> dict[str, Any]:
    """The processes that run jobs: since when, their last heartbeat, and what they run."""
    return {"workers": [_shown(worker) for worker in services().workers.all()]}


def _shown(worker: WorkerProcess) -> dict[str, Any]:
    return {
        "name": worker.name,
        "host": worker.host,
        "pid": worker.pid,
        "started_at": moment(worker.started_at),
        "last_heartbeat": moment(worker.last_heartbeat),
        "alive": worker.alive,
        "concurrency": worker.concurrency,
        "queues": list(worker.queues),
        "running": [_running(job) for job in worker.running],
    }


def _running(job: Job) -> dict[str, Any]:
    links = {"self": f"/jobs/{job.id}"}
    return {"id": job.id, "kind": job.kind, "state": job.state, "attempt": job.attempt, "links": links}
