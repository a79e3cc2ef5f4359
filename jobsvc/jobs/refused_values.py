"""What is wrong with the value of a parameter, in our words and not in pydantic's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import ErrorDetails

MAX_SHOWN = 60
"""Characters of a value that an error repeats."""

FLAGS = "must be true or false"
WHOLE = "must be a whole number"
NUMBER = "must be a number"
TEXT = "must be a text"
DATE = "must be a date, YYYY-MM-DD"
MOMENT = "must be a date and a time, YYYY-MM-DDTHH:MM:SS"

ALLOWED: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    **dict.fromkeys(("int_parsing", "int_type", "int_from_float", "int_parsing_size"), lambda _: WHOLE),
    **dict.fromkeys(("float_parsing", "float_type", "decimal_parsing", "decimal_type"), lambda _: NUMBER),
    "finite_number": lambda _: "must be a finite number",
    **dict.fromkeys(("bool_parsing", "bool_type"), lambda _: FLAGS),
    **dict.fromkeys(("string_type", "string_unicode"), lambda _: TEXT),
    **dict.fromkeys(
        ("date_parsing", "date_type", "date_from_datetime_parsing", "date_from_datetime_inexact"), lambda _: DATE
    ),
    **dict.fromkeys(("datetime_parsing", "datetime_type", "datetime_from_date_parsing"), lambda _: MOMENT),
    **dict.fromkeys(("list_type", "tuple_type", "set_type"), lambda _: "must be a list"),
    **dict.fromkeys(("dict_type", "model_type"), lambda _: "must be an object"),
    **dict.fromkeys(("enum", "literal_error"), lambda given: f"must be {given['expected']}"),
    "greater_than_equal": lambda given: f"must be {given['ge']} or more",
    "greater_than": lambda given: f"must be more than {given['gt']}",
    "less_than_equal": lambda given: f"must be {given['le']} or less",
    "less_than": lambda given: f"must be less than {given['lt']}",
    "multiple_of": lambda given: f"must be a multiple of {given['multiple_of']}",
    "string_too_short": lambda given: f"must have {given['min_length']} characters or more",
    "string_too_long": lambda given: f"must have {given['max_length']} characters or fewer",
    "string_pattern_mismatch": lambda given: f"must match {given['pattern']}",
    "too_short": lambda given: f"must have {given['min_length']} entries or more",
    "too_long": lambda given: f"must have {given['max_length']} entries or fewer",
}
"""By pydantic's type of an error: what is allowed, made from the error's context."""


def said_of(error: ErrorDetails) -> str:
    """What was given, and what is allowed instead."""
    if error["type"] == "missing":
        return "it is missing, and must be given"
    if error["type"] in ("value_error", "assertion_error"):
        # The words are a kind's own.
        return error["msg"].partition(", ")[2]
    allowed = ALLOWED.get(error["type"])
    context = error.get("ctx", {})
    told = (
        allowed(context) if allowed is not None else "is not usable: the schema of the kind's parameters says what is"
    )
    return f"{_shown(error['input'])} {told}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
