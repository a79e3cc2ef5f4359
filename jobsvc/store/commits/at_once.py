"""Writing what is handed over at once, on the thread that hands it over."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from sqlalchemy import Connection

T = TypeVar("T")

Write = Callable[[Connection, Callable[[], bool]], T]
"""Writes in a transaction that others may share. It asks now and then whether somebody is in a hurry, and if so may
leave out what can be written later. It may be called again after an error."""

Begin = Callable[[Callable[[], bool]], AbstractContextManager[Connection]]
"""A write transaction, which goes ahead of others when the given function says so."""


class Committer(Protocol):
    """Commits what runs hand over. Safe to share among threads."""

    def submit(self, write: Write[T], urgent: Callable[[], bool]) -> Future[T]:
        """Have `write` write, soon or at once; what is `urgent`, whenever that is asked, before the rest.

        The future has what it returned once that is committed; or its error, or that of the
        transaction, and then nothing of it is. `urgent` must not block.
        """

    def close(self) -> None:
        """Take nothing more. Waits for nothing."""


class AtOnce:
    """Implements `Committer`: each in a transaction of its own."""

    def __init__(self, begin: Begin) -> None:
        self._begin = begin

    def submit(self, write: Write[T], urgent: Callable[[], bool]) -> Future[T]:
        done: Future[T] = Future()
        write_alone(self._begin, write, urgent, done)
        return done

    def close(self) -> None:
        """There is nothing to end."""


def write_alone(begin: Begin, write: Write[T], urgent: Callable[[], bool], done: Future[T]) -> None:
    """Write in a transaction of its own, and tell `done` what came of it."""
    try:
        with begin(urgent) as connection:
            value = write(connection, _nobody)
    except BaseException as error:
        done.set_exception(error)
    else:
        done.set_result(value)


def _nobody() -> bool:
    """Who is in a hurry where nobody waits for the turn."""
    return False
