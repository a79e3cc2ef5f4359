"""Waiting for something in the database, woken by every commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition
from typing import Any

import pytest

from jobsvc.store.database import Database
from tests.support.gated import TIMEOUT


class Commits:
    """Wakes those who wait whenever a write transaction has ended."""

    def __init__(self) -> None:
        self._changed = Condition()

    def note(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until `condition`, which reads what is committed, holds."""
        with self._changed:
            assert self._changed.wait_for(condition, TIMEOUT), f"waited {TIMEOUT} s for {what}"


@contextmanager
def noted_commits() -> Iterator[Commits]:
    """Note the end of every write transaction, of every database in this process."""
    commits = Commits()
    write = Database.write

    @contextmanager
    def noted(self: Database, **urgency: Any) -> Iterator[Any]:
        try:
            with write(self, **urgency) as connection:
                yield connection
        finally:
            commits.note()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "write", noted)
        yield commits
