"""What is wrong with a parameter's value: it is told in our words, for every type that a kind is likely to declare."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, Field, ValidationError

from jobsvc.jobs.refused_values import said_of
from jobsvc.kinds.contract import KindParams


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


def _never(_: str) -> str:
    raise ValueError("it is never right, whatever it is")


class Params(KindParams):
    whole: int = 0
    at_least: int = Field(0, ge=1)
    above: float = Field(1, gt=0)
    at_most: int = Field(0, le=9)
    below: float = Field(0, lt=9)
    of_seven: int = Field(0, multiple_of=7)
    number: float = 0.0
    finite: float = Field(0.0, allow_inf_nan=False)
    flag: bool = False
    text: str = ""
    short: str = Field("", max_length=3)
    long: str = Field("abc", min_length=3)
    like: str = Field("a", pattern="^a+$")
    day: date = date(2026, 1, 1)
    moment: datetime = datetime(2026, 1, 1)  # noqa: DTZ001 (as a kind may have it)
    colour: Colour = Colour.RED
    either: Literal["x", "y"] = "x"
    some: list[int] = Field([1], min_length=1, max_length=2)
    named: dict[str, int] = Field(default={})
    own: Annotated[str, AfterValidator(_never)] = ""


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("whole", "x", "'x' must be a whole number"),
        ("whole", "1.5", "'1.5' must be a whole number"),
        ("whole", 1.5, "1.5 must be a whole number"),
        ("whole", None, "None must be a whole number"),
        ("whole", "9" * 5000, f"'{'9' * 59}… must be a whole number"),
        ("at_least", "-1", "'-1' must be 1 or more"),
        ("above", "0", "'0' must be more than 0.0"),
        ("at_most", "10", "'10' must be 9 or less"),
        ("below", "9", "'9' must be less than 9.0"),
        ("of_seven", "8", "'8' must be a multiple of 7"),
        ("number", "x", "'x' must be a number"),
        ("number", [], "[] must be a number"),
        ("finite", "nan", "'nan' must be a finite number"),
        ("flag", "maybe", "'maybe' must be true or false"),
        ("flag", 7, "7 must be true or false"),
        ("text", 7, "7 must be a text"),
        ("short", "abcd", "'abcd' must have 3 characters or fewer"),
        ("long", "ab", "'ab' must have 3 characters or more"),
        ("like", "b", "'b' must match ^a+$"),
        ("day", "soon", "'soon' must be a date, YYYY-MM-DD"),
        ("day", "2026-02-30", "'2026-02-30' must be a date, YYYY-MM-DD"),
        ("day", "2026-01-01T12:00:00", "'2026-01-01T12:00:00' must be a date, YYYY-MM-DD"),
        ("day", [], "[] must be a date, YYYY-MM-DD"),
        ("moment", "soon", "'soon' must be a date and a time, YYYY-MM-DDTHH:MM:SS"),
        ("moment", [], "[] must be a date and a time, YYYY-MM-DDTHH:MM:SS"),
        ("colour", "green", "'green' must be 'red' or 'blue'"),
        ("either", "z", "'z' must be 'x' or 'y'"),
        ("some", "x", "'x' must be a list"),
        ("some", [], "[] must have 1 entries or more"),
        ("some", [1, 2, 3], "[1, 2, 3] must have 2 entries or fewer"),
        ("named", "x", "'x' must be an object"),
        ("own", "x", "it is never right, whatever it is"),
    ],
)
def test_it_says_what_was_given_and_what_is_allowed(name: str, value: Any, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Params.model_validate({name: value})
    assert said_of(caught.value.errors()[0]) == said


def test_what_is_missing_is_told() -> None:
    class Needs(KindParams):
        what: int

    with pytest.raises(ValidationError) as caught:
        Needs.model_validate({})
    assert said_of(caught.value.errors()[0]) == "it is missing, and must be given"


def test_no_library_s_words_are_told_of_a_type_that_nobody_has_thought_of() -> None:
    class Odd(KindParams):
        far: complex = 0j

    with pytest.raises(ValidationError) as caught:
        Odd.model_validate({"far": "x"})
    assert said_of(caught.value.errors()[0]) == "'x' is not usable: the schema of the kind's parameters says what is"
