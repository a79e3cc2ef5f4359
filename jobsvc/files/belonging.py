"""Whether a database and a store of files belong together: both bear one random identity.

A database that is started with somebody else's files would take all of them for
strays. So would an older database that was restored from before there were
identities; and a folder whose volume is not mounted looks like a new store.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from uuid import uuid4

from sqlalchemy import Connection, insert, select

from jobsvc.files.contract import Files
from jobsvc.settings import SettingError
from jobsvc.store.database import Database
from jobsvc.store.errors import FilesDown
from jobsvc.store.queries import job_rows
from jobsvc.store.tables import identity

log = logging.getLogger(__name__)

ADOPT = "python -m jobsvc files adopt"


class NotTogether(SettingError):
    """The files are of another database; the text names both, what probably happened, and the ways out."""


@dataclass(frozen=True)
class Adopted:
    """What was found in a store when it was given to a database. Counts are of jobs."""

    known: int
    unknown: int


def belong_together(database: Database, files: Files) -> bool:
    """Whether both have the same identity. Changes nothing. Raises FilesDown."""
    # In this order: a process that makes both puts the database's first.
    theirs = files.identity()
    return theirs is not None and theirs == identity_of(database)


def fault_between(database: Database, files: Files, kinds: Collection[str]) -> str | None:
    """Why they do not belong together; None if one of them only lacks its identity.

    `kinds` are the names of those whose jobs have an upload each.
    """
    theirs, ours = files.identity(), identity_of(database)
    if theirs is not None:
        if theirs == ours:
            return None
        own = f"that of {database.shown} is {ours}" if ours else f"{database.shown} has none"
        return f"the files in {files.place} are another database's: their identity is {theirs[:40]}, {own}"
    kept = files.job_ids()
    with database.read() as connection:
        known, forgotten = job_rows.ids_by_files(connection)
        uploads = job_rows.count_uploads(connection, kinds)
    unknown = kept - known - forgotten
    if unknown:
        return (
            f"the files in {files.place} have no identity, and {len(unknown)} of their {len(kept)} jobs are not in "
            f"{database.shown}, such as {min(unknown)}"
        )
    if not kept and uploads:
        return (
            f"there are no files in {files.place}, and {database.shown} has {uploads} jobs whose files should be there"
        )
    return None


def settle(database: Database, files: Files, kinds: Collection[str], *, dry: bool = False) -> None:
    """Be sure that both belong together; they get an identity if they have none and can only be each other's.

    `kinds` are the names of those whose jobs have an upload each. Many processes may do
    this at once. `dry` changes nothing. Raises NotTogether, FilesDown.
    """
    if belong_together(database, files):
        return
    fault = fault_between(database, files, kinds)
    if fault is None and not dry:
        files.identify(_made(database))
    # Meanwhile another process may have made them, and received an upload.
    if not belong_together(database, files) and not (dry and fault is None):
        raise _not_together(fault or f"another database was given the files in {files.place} in this moment")


def settle_if_it_answers(database: Database, files: Files, kinds: Collection[str]) -> None:
    """`settle`, for a start, which does not need the store. Raises NotTogether, SettingError if it can't be used."""
    try:
        settle(database, files, kinds)
    except FilesDown as error:
        log.warning("whether the files are those of this database is not known yet: %s", error)
    except OSError as error:
        raise SettingError(f"the files in {files.place} can't be used: {error}") from error


def adopt(database: Database, files: Files) -> Adopted:
    """Give the files to the database, whichever had them before. Raises FilesDown."""
    files.identify(_made(database), instead=True)
    kept = files.job_ids()
    with database.read() as connection:
        known, forgotten = job_rows.ids_by_files(connection)
    return Adopted(known=len(kept & known), unknown=len(kept - known - forgotten))


def identity_of(database: Database) -> str | None:
    with database.read() as connection:
        return _found(connection)


def _found(connection: Connection) -> str | None:
    return connection.execute(select(identity.c.id).order_by(identity.c.id).limit(1)).scalar_one_or_none()


def _made(database: Database) -> str:
    """The database's identity; made if it has none, once, also by many processes."""
    with database.write() as connection:
        database.backend.lock_for_migrations(connection)
        found = _found(connection)
        if found is None:
            found = uuid4().hex
            connection.execute(insert(identity).values(id=found))
        return found


def _not_together(fault: str) -> NotTogether:
    return NotTogether(
        f"{fault}. Nothing was changed. Most likely JOBSVC_DATA_DIR, DATABASE_URL or JOBSVC_FILES_URL is not what it "
        "was, an older database was restored, or a volume is not mounted: set that right. If this database and these "
        f"files do belong together, say so: {ADOPT}"
    )
