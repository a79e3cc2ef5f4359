"""Writing down how a run ended, also while the database can't be written for a time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import OperationalError, SQLAlchemyError

from jobsvc.logs.private import PRIVATE
from jobsvc.runs.signals import Signals
from jobsvc.store.errors import Conflict, DatabaseDown, unexplained

log = logging.getLogger(__name__)

FIRST_DELAY_SECONDS = 1.0
MAX_DELAY_SECONDS = 5.0

T = TypeVar("T")


PASSES = (DatabaseDown, Conflict, OperationalError)

NOT_TAKEN = (SQLAlchemyError, ValueError, TypeError, OverflowError)
"""What the database's library raises of values. Not all of it is an error of SQLAlchemy."""


def until_recorded(
    record: Callable[[], T], signals: Signals, leave_out: Callable[[], bool] = lambda: False
) -> T | None:
    """Call `record` until the database takes it: that it is away, full or locked passes.

    Other errors may not. For them `leave_out` drops what the record can do without, and returns whether
    there was anything.

    Returns None if the process, or its queue worker, shuts down before. Then the next start finds the job,
    or in a fleet the sweep of another worker. A signal to the run makes it try again
    at once, since the sender has just written to the database.
    """
    pause = FIRST_DELAY_SECONDS
    while True:
        try:
            return record()
        except NOT_TAKEN as error:
            if not isinstance(error, PASSES) and leave_out():
                what = "the end of a run could not be recorded, trying again without what the kind has said: %s"
                log.error(what, type(error).__name__, exc_info=error, extra=PRIVATE)
                continue
            if not isinstance(error, SQLAlchemyError):
                raise
            what = "the end of a run could not be recorded, trying again in %.0f s: %s"
            odd = unexplained(error)
            # It may be what a kind does in that transaction.
            log.error(what, pause, type(error).__name__ if odd else error, exc_info=odd, extra=PRIVATE)
        if signals.shutting_down:
            return None
        if signals.asked_within(pause):
            signals.acknowledge()
        pause = min(MAX_DELAY_SECONDS, 2 * pause)
