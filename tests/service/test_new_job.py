"""What jobs and actions on many jobs have in common when they are made: an id, and one for each idempotency key."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy.exc import IntegrityError

from jobsvc.files.job_ids import is_job_id, make
from jobsvc.identifiers import new_id
from jobsvc.service.new_job import Idempotency, once_for_each_key

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)

KEY = Idempotency("k", "f")


def breaking_off(*times: bool) -> Callable[[], int]:
    """A transaction that a twin of its request breaks off, or not; it returns how often it was called."""
    calls: list[bool] = []

    def transaction() -> int:
        calls.append(times[len(calls)])
        if calls[-1]:
            raise IntegrityError("INSERT", {}, Exception("the key is there already"))
        return len(calls)

    return transaction


def test_what_a_twin_has_made_meanwhile_is_found_by_another_transaction() -> None:
    assert once_for_each_key(KEY, breaking_off(False)) == 1
    assert once_for_each_key(KEY, breaking_off(True, False)) == 2


def test_without_a_key_and_if_it_breaks_off_twice_it_was_no_twin() -> None:
    with pytest.raises(IntegrityError):
        once_for_each_key(None, breaking_off(True, False))
    with pytest.raises(IntegrityError):
        once_for_each_key(KEY, breaking_off(True, True, False))


def test_ids_tell_their_moment_and_no_two_are_the_same() -> None:
    assert new_id("pause", NOON).startswith("pause-1769860800-")
    made = {make("Ann", "baselineCSV", NOON) for _ in range(1000)}
    assert len(made) == 1000
    assert all(is_job_id(one) and one.startswith("Ann-baselineCSV-1769860800-") for one in made)
