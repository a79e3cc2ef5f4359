"""What becomes of files that belong to no job, at each start and every hour in a fleet."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from jobsvc.files.belonging import belong_together, fault_between, identity_of
from jobsvc.files.contract import Files
from jobsvc.files.strays import KEPT, Tidied
from jobsvc.store.database import Database
from jobsvc.store.errors import FilesDown
from jobsvc.store.queries import job_rows

log = logging.getLogger(__name__)

NAMES_IN_LOG = 5


def tidy_strays(database: Database, files: Files, at: datetime, *, older_than: timedelta | None = None) -> Tidied:
    """`Files.tidy_strays`, if the files are this database's own. The log says what was done, or why nothing was."""
    try:
        if not belong_together(database, files):
            if identity_of(database) is not None:
                fault = fault_between(database, files, ()) or f"{files.place} has no identity"
                log.error("files of jobs that the database does not know stay: %s", fault)
            return Tidied()
        with database.read() as connection:
            known, forgotten = job_rows.ids_by_files(connection)
        done = files.tidy_strays(known, forgotten, at, older_than=older_than)
    except (FilesDown, OSError) as error:
        log.warning("files of jobs that the database does not know stay until the next look: %s", error)
        return Tidied()
    unused = f"no job has needed them for {KEPT.days} days, or theirs was forgotten"
    _tell(f"moved aside in {files.place} for {KEPT.days} days, since the database does not know their jobs", done.aside)
    _tell(f"moved back in {files.place}: their jobs are known again", done.back)
    _tell(f"removed from {files.place}: {unused}", done.removed)
    _tell(f"in {files.place} that belong to no job could not be moved or removed, and stay", done.stuck)
    return done


def _tell(what: str, names: list[str]) -> None:
    if names:
        more = "" if len(names) <= NAMES_IN_LOG else f" and {len(names) - NAMES_IN_LOG} more"
        log.warning("%d files %s: %s%s", len(names), what, ", ".join(names[:NAMES_IN_LOG]), more)
