"""Doing a transaction again."""

from __future__ import annotations

import gc
import logging
from functools import partial
from weakref import ref

import pytest

from jobsvc.store import again
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


def test_a_transaction_that_goes_well_leaves_nothing_to_the_collector_of_garbage() -> None:
    class Batch:
        """What a transaction has."""

    gc.disable()
    try:
        batch = Batch()
        held = ref(batch)
        done_again(partial(id, batch))
        del batch
        assert held() is None
    finally:
        gc.enable()


def test_what_does_not_pass_is_raised_at_once() -> None:
    tries: list[int] = []

    def transaction() -> None:
        tries.append(1)
        raise KeyError("x")

    with pytest.raises(KeyError):
        done_again(transaction)
    assert tries == [1]


def test_what_passes_too_seldom_is_raised_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(again, "MAX_STEP_ASIDE_SECONDS", 0.0)
    tries: list[int] = []

    def transaction() -> None:
        tries.append(1)
        raise Conflict("row 4711")

    with pytest.raises(Conflict):
        done_again(transaction)
    assert len(tries) == again.TIMES
