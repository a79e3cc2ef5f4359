"""Doing a transaction again that was broken off because of another one.

PostgreSQL breaks off one of two transactions that wait for each other. Nothing of
it has happened then, and doing it again may go well.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from sqlalchemy.exc import SQLAlchemyError
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_random_exponential,
)

from jobsvc.deadlines import current
from jobsvc.store.errors import Conflict

log = logging.getLogger(__name__)

TIMES = 30
"""How often to try a transaction that is in another's way, or finds the database
locked. If that is not enough for a checkpoint, its run ends, and the job goes on at
the checkpoint before."""

MAX_STEP_ASIDE_SECONDS = 1.0
"""The longest wait before the next try. The wait is random, so that two transactions don't meet again."""

P = ParamSpec("P")
T = TypeVar("T")


def is_conflict(error: BaseException) -> bool:
    return isinstance(error, Conflict)


def done_again(transaction: Callable[[], T], when: Callable[[BaseException], bool] = is_conflict) -> T:
    """Call `transaction`, which is one write transaction from begin to commit, and call it again `when` its error, one
    of the database's, may pass.

    Raises that error if this did not help, or if the thread's deadline has come.
    """
    # Most go well, and tenacity's objects hold each other: what the transaction has, a whole batch perhaps, would stay
    # until the collector of garbage comes.
    try:
        return transaction()
    except SQLAlchemyError as error:
        if not when(error):
            raise
        failed = [error]

    def tried() -> T:
        if failed:
            raise failed.pop()
        return transaction()

    again = Retrying(
        retry=retry_if_exception(when),
        wait=wait_random_exponential(multiplier=0.02, max=MAX_STEP_ASIDE_SECONDS),
        stop=_too_often_or_too_late,
        before_sleep=_tell,
        reraise=True,
    )
    return again(tried)


def again_on_conflict(transaction: Callable[P, T]) -> Callable[P, T]:
    """Call a function that is one write transaction again when it was in another's way: a decorator."""

    @wraps(transaction)
    def tried(*args: P.args, **kwargs: P.kwargs) -> T:
        return done_again(lambda: transaction(*args, **kwargs))

    return tried


def _tell(state: RetryCallState) -> None:
    """Nothing is wrong yet: it is told for debugging, and what it was, by its type."""
    error = state.outcome.exception() if state.outcome is not None else None
    log.debug(
        "a transaction is done again in %.2f s, after try %d of %d: %s",
        state.upcoming_sleep,
        state.attempt_number,
        TIMES,
        type(error).__name__,
    )


def _too_often_or_too_late(state: RetryCallState) -> bool:
    deadline = current()
    late = deadline is not None and deadline.left() <= state.upcoming_sleep
    return late or stop_after_attempt(TIMES)(state)
