"""What SQLite's errors mean."""

from __future__ import annotations

import sqlite3

from sqlalchemy import Connection, event
from sqlalchemy.engine import Engine, ExceptionContext
from sqlalchemy.exc import SQLAlchemyError

from jobsvc.store.errors import DatabaseBusy, DatabaseDown, DiskFull

PRIMARY = 0xFF
"""The bits of a code that say what kind of error it is; the others say more."""

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_PROTOCOL}

_DOWN = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}

_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE}
"""A quota that is used up is an error in writing, and so is a disk that has no room for the index of the log."""

_BREAKING = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM}
"""After these SQLite may have rolled the whole transaction back, and would take each further statement by itself."""

_BROKEN = "jobsvc_broken"


def translated(error: SQLAlchemyError) -> Exception | None:
    """DatabaseBusy, DiskFull or DatabaseDown, if an error means one of these."""
    code = _code(getattr(error, "orig", None))
    if code is None:
        return None
    if code & PRIMARY in _BUSY:
        return DatabaseBusy("another process holds the lock of the database")
    if code in _FULL:
        return DiskFull(f"there is no room for the database: {_said(error)}")
    if code & PRIMARY in _DOWN:
        return DatabaseDown(f"the file of the database can't be used: {_said(error)}")
    return None


def end_broken_transactions(engine: Engine) -> None:
    """Let no transaction go on, or commit, once a statement in it has failed for want of room, even if the error was
    caught.

    Otherwise later statements would be committed without those that were rolled back: a
    cursor without the effects before it. To be called before anything else that makes
    statements when a transaction begins.
    """
    event.listen(engine, "begin", _mend)
    event.listen(engine, "handle_error", _note)
    event.listen(engine, "before_cursor_execute", _check_statement)
    event.listen(engine, "commit", _check)


def _mend(connection: Connection) -> None:
    connection.info.pop(_BROKEN, None)


def _note(context: ExceptionContext) -> None:
    code = _code(context.original_exception)
    if context.connection is not None and code is not None and code & PRIMARY in _BREAKING:
        context.connection.info[_BROKEN] = str(context.original_exception)


def _check(connection: Connection) -> None:
    if (why := connection.info.get(_BROKEN)) is not None:
        raise DiskFull(f"the transaction was broken by an error before it: {why}")


def _check_statement(connection: Connection, *_: object) -> None:
    _check(connection)


def _code(error: object) -> int | None:
    return getattr(error, "sqlite_errorcode", None)


def _said(error: SQLAlchemyError) -> str:
    original = getattr(error, "orig", None)
    return f"{original} ({getattr(original, 'sqlite_errorname', 'unknown')})"
