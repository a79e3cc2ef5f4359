"""What can be wrong with the database itself, whichever it is."""

from __future__ import annotations

from sqlalchemy.exc import SQLAlchemyError


class DatabaseClosed(Exception):
    """The process is ending, and writes no more."""


class DatabaseDown(SQLAlchemyError):
    """The database can't be reached, or the connection to it broke.

    If it broke during a commit, that transaction has taken effect or has not:
    a caller that needs to know reads it again.
    """


class DatabaseBusy(DatabaseDown):
    """Others held what the transaction needs for as long as it could wait. Nothing was changed.

    A kind of DatabaseDown: code that copes with a database that is down copes with a
    locked one too.
    """


class IdleTooLong(DatabaseDown):
    """The server has ended a transaction in which nothing happened for too long. Nothing of it took effect.

    Its process was frozen; or it keeps a connection while it waits for something else, and will again.
    """


class DiskFull(DatabaseDown):
    """There is no room left for what was to be written, or the disk refuses it. Nothing was changed.

    A kind of DatabaseDown, since it passes like one: the writer stops at what is
    stored, and goes on later.
    """


class Conflict(SQLAlchemyError):
    """The transaction stood in another's way and was rolled back; doing it again may go well."""


class NotStorable(SQLAlchemyError):
    """A value does not fit: a number that is too large, a character that the database can't hold."""


class SchemaBehind(Exception):
    """The database is not of this version; the text names the command that changes that."""


class DatabaseInUse(Exception):
    """Another process runs jobs on this database; the text names it and the way out."""


class FilesDown(Exception):
    """The store of the files does not answer, or refuses what it was asked. The text has no credentials in it."""


class NoRoom(FilesDown):
    """There is no room for a file, or so little room on a disk that nobody should begin to fill it."""


class OutputLost(Exception):
    """A part of an unfinished output has gone; the text says which."""


def unexplained(error: Exception) -> Exception | None:
    """The error, for a log to show where it came from; None for an outage, of which its text says enough."""
    return None if isinstance(error, DatabaseDown | FilesDown) else error
