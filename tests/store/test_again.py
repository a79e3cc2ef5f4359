"""Doing a transaction again."""

from __future__ import annotations

import logging

import pytest

from jobsvc.store.again import done_again
from jobsvc.store.errors import Conflict


def test_a_conflict_is_told_for_debugging_by_what_it_was(caplog: pytest.LogCaptureFixture) -> None:
    errors = [Conflict("row 4711"), Conflict("row 4711")]

    def transaction() -> str:
        if errors:
            raise errors.pop()
        return "done"

    with caplog.at_level(logging.DEBUG, "jobsvc"):
        assert done_again(transaction) == "done"
    assert [(record.levelno, record.getMessage().partition(" s, ")[2]) for record in caplog.records] == [
        (logging.DEBUG, "after try 1 of 30: Conflict"),
        (logging.DEBUG, "after try 2 of 30: Conflict"),
    ]
