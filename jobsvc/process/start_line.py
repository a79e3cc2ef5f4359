"""The line with which a process begins its work: what it is, where it listens, what it works on."""

from __future__ import annotations

import logging

from jobsvc.jobs.states import FINISHED, State
from jobsvc.logs.formatting import IN_MESSAGE
from jobsvc.settings import Settings
from jobsvc.store.database import Database
from jobsvc.store.queries import job_rows
from jobsvc.version import VERSION

log = logging.getLogger(__name__)


def log_start(what: str, settings: Settings, database: Database, listens: str | None = None, **more: object) -> None:
    """`what` the process is; `listens`: where, if its server has said so. Raises DatabaseDown."""
    with database.read() as connection:
        counts = job_rows.count_by_state(connection, [state for state in State if state not in FINISHED])
    go_on = sum(counts.values()) - counts.get(State.PAUSED, 0)
    fields = {
        "version": VERSION,
        "listens": listens,
        "database": database.shown,
        "files": settings.files_url or str(settings.data_dir / "files"),
        "engine": str(settings.engine),
        "jobs_going_on": go_on,
        "jobs_paused": counts.get(State.PAUSED, 0),
        **more,
    }
    told = {name: value for name, value in fields.items() if value is not None}
    said = ("version", "jobs_going_on")
    log.info("%s ready, jobsvc %s: %d jobs go on", what, VERSION, go_on, extra={**told, IN_MESSAGE: said})
