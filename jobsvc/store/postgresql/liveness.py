"""Seeing that a connection from the pool is alive, without a round trip for each transaction.

SQLAlchemy's own `pool_pre_ping` asks the server each time. In a busy process that is one round trip of
each transaction's four or five, and on a busy machine each takes milliseconds.
"""

from __future__ import annotations

from time import monotonic
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

FRESH_SECONDS = 1.0
"""A connection that was in use so short a time ago is taken for alive. If it is not, its transaction fails as one does
whose server goes away in the middle of it."""

_RETURNED = "jobsvc_returned"


def see_that_connections_live(engine: Engine) -> None:
    event.listen(engine, "checkin", _returned)
    event.listen(engine, "checkout", _taken)


def _returned(_connection: Any, entry: ConnectionPoolEntry) -> None:
    entry.info[_RETURNED] = monotonic()


def _taken(connection: Any, entry: ConnectionPoolEntry, _lent: PoolProxiedConnection) -> None:
    """Ask the server whether it is there. If it is not, the pool makes another connection, and forgets the others."""
    # One that was just made has nothing here.
    returned = entry.info.get(_RETURNED)
    if returned is None or monotonic() - returned < FRESH_SECONDS:
        return
    try:
        # Otherwise this would begin the transaction.
        connection.autocommit = True
        connection.execute("")
        connection.autocommit = False
    except connection.Error as error:
        raise InvalidatePoolError from error
