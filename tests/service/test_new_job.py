"""What jobs and actions on many jobs have in common when they are made: an id, and one for each idempotency key."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

import pytest
from pydantic import BaseModel, Field
from sqlalchemy.exc import IntegrityError

from jobsvc.files.job_ids import is_job_id, make
from jobsvc.identifiers import new_id
from jobsvc.jobs.errors import InvalidParameter
from jobsvc.kinds.contract import JobContext, Kind, KindParams, Work
from jobsvc.service.new_job import Idempotency, once_for_each_key, validated

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


class Box(BaseModel):
    width: int


class OddParams(KindParams):
    tags: list[str] = Field(default_factory=list)
    depth: Literal[1, 2] = 1
    box: Box | None = None
    text: str = ""


class Odd(Kind):
    name, takes_file = "odd", False
    Params = OddParams

    def open(self, context: JobContext) -> Work:
        raise NotImplementedError


def read(**given: object) -> KindParams:
    return validated(Odd(), given)


def test_a_form_has_lists_and_objects_as_json() -> None:
    assert read(tags='["a", "b"]', depth="2", box='{"width": "3"}') == OddParams(
        tags=["a", "b"], depth=2, box=Box(width=3)
    )


def test_a_text_stays_a_text_whatever_stands_in_it() -> None:
    assert read(text="[1]") == OddParams(text="[1]")


@pytest.mark.parametrize(
    ("given", "name", "why"),
    [
        ({"tags": "a, b"}, "tags", "'a, b' must be a list"),
        ({"tags": "[1]"}, "tags.0", "1 must be a text"),
        ({"tags": "[" * 10_000}, "tags", "must be a list"),
        ({"box": '{"width": 1, "width": 2}'}, "box", "must be an object"),
        ({"box": '{"width": NaN}'}, "box", "must be an object"),
        ({"box": '{"width": "wide"}'}, "box.width", "'wide' must be a whole number"),
        ({"depth": "3"}, "depth", "must be 1 or 2"),
    ],
)
def test_what_is_no_such_json_is_refused_by_name(given: dict[str, str], name: str, why: str) -> None:
    with pytest.raises(InvalidParameter) as found:
        read(**given)
    assert found.value.name == name
    assert why in found.value.message
