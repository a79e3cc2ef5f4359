"""The database: is it there, is it of this version, does it take a write?"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import make_url

from jobsvc.cli.doctor.finding import Finding, good, note, wrong
from jobsvc.settings import Settings
from jobsvc.store.database import Database, is_postgresql, shown
from jobsvc.store.errors import DatabaseBusy, DatabaseDown, DiskFull
from jobsvc.store.migrate import is_current

SUBJECT = "database"

BUSY_SECONDS = 5.0


def database(settings: Settings) -> tuple[list[Finding], Database | None]:
    """What was found, and the database if it has the tables of this version. The caller closes it."""
    where = shown(settings.url)
    if not is_postgresql(settings.url) and not Path(make_url(settings.url).database or "").is_file():
        return [note(SUBJECT, f"{where} is not there yet: the first start makes it")], None
    found = Database(settings.url)
    try:
        fault = found.fault()
        if fault is not None:
            mend = "is DATABASE_URL right, and is the server running? Ask it with psql"
            if not is_postgresql(settings.url):
                mend = "is it a database, and may this user read it? If it is broken, restore a backup: docs/backup.md"
            found.close()
            return [wrong(SUBJECT, f"{where}: {fault}", mend)], None
        if not is_current(found):
            found.close()
            return [_behind(where, settings)], None
        return [_writable(where, found)], found
    except DatabaseDown as error:
        found.close()
        return [wrong(SUBJECT, f"{where} does not answer: {error}", "see its log")], None


def _behind(where: str, settings: Settings) -> Finding:
    told = f"the tables in {where} are not of this version"
    if is_postgresql(settings.url):
        return wrong(SUBJECT, told, "jobsvc db upgrade")
    return note(SUBJECT, f"{told}: the next start brings them up to date, or jobsvc db upgrade")


def _writable(where: str, found: Database) -> Finding:
    try:
        fault = found.write_fault()
    except DatabaseBusy:
        return note(SUBJECT, f"{where} is of this version, and busy: others were writing all the time")
    except DiskFull:
        fault = "the disk is full"
    if fault is not None:
        return wrong(SUBJECT, f"{where}: {fault}", "is there room on its disk, and may this user write there?")
    return good(SUBJECT, f"{where} is of this version, and takes writes")
