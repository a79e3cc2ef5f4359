"""The files: are they there, are they the database's, and is there room on the disks?"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from jobsvc.cli.context import kinds_taking_files
from jobsvc.cli.doctor.finding import Finding, good, note, wrong
from jobsvc.files.belonging import ADOPT, fault_between
from jobsvc.files.contract import Files
from jobsvc.files.open_files import folder_of, open_files
from jobsvc.service.monitoring.disks import look
from jobsvc.settings import SettingError, Settings
from jobsvc.store.database import Database
from jobsvc.store.disk.open_room import filled_disks
from jobsvc.store.errors import DatabaseDown, FilesDown
from jobsvc.store.queries import job_rows

FILES = "files"
DISK = "disk"

ROOM = "make room, or set JOBSVC_MIN_FREE_BYTES; until then uploads get 507 and runs wait"


def files(settings: Settings, database: Database | None) -> Finding:
    """`database` is None if it can't be asked whose files these are."""
    folder = folder_of(settings)
    try:
        if folder is not None and not folder.is_dir():
            return _no_folder(folder, database, kinds_taking_files(settings))
        if folder is not None and not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            return wrong(FILES, f"{folder} can't be written by this user", "chown it to the user of the service")
        return _of_the_database(open_files(settings), database, kinds_taking_files(settings))
    except FilesDown as error:
        return wrong(FILES, str(error), "is JOBSVC_FILES_URL right, is the store running, are its keys set?")
    except DatabaseDown as error:
        return wrong(FILES, f"whose files these are can't be told: {error}", "ask again when the database is back")
    except (SettingError, OSError) as error:
        return wrong(FILES, str(error), "may this user read and write there?")


def _of_the_database(found: Files, database: Database | None, kinds: Collection[str]) -> Finding:
    found.identity()
    if database is None:
        return good(FILES, f"{found.place} can be read")
    fault = fault_between(database, found, kinds)
    if fault is None:
        return good(FILES, f"{found.place} belongs to the database")
    mend = f"set JOBSVC_DATA_DIR, DATABASE_URL or JOBSVC_FILES_URL right; if they do belong together: {ADOPT}"
    return wrong(FILES, fault, mend)


def _no_folder(folder: Path, database: Database | None, kinds: Collection[str]) -> Finding:
    uploads = 0
    if database is not None:
        with database.read() as connection:
            uploads = job_rows.count_uploads(connection, kinds)
    if uploads:
        told = f"{folder} is missing, and the database has {uploads} jobs whose files should be there"
        return wrong(FILES, told, "is a volume not mounted? Or set JOBSVC_DATA_DIR or JOBSVC_FILES_URL right")
    return note(FILES, f"{folder} is not there yet: the first start makes it")


def disks(settings: Settings) -> list[Finding]:
    found = []
    least = settings.min_free_bytes
    for disk in look(filled_disks(settings)):
        told = f"{disk.free >> 20:,} MiB are free for the {disk.holds}, and {least >> 20:,} MiB are to stay so"
        found.append(good(DISK, told) if disk.free >= least else wrong(DISK, told, ROOM))
    return found
