"""The fields of a form, made from the JSON schema of a kind's parameters: also of kinds that people wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any

from jobsvc.jobs.errors import InvalidParameter
from jobsvc.web.dashboard.new_job import schema
from jobsvc.web.dashboard.new_job.schema import Schema
from jobsvc.web.dashboard.new_job.words import READING, Choice, Words

TRUE = "true"
FALSE = "false"

YES_AND_NO = (Choice(TRUE, "Yes"), Choice(FALSE, "No"))

TEXT, CHECKBOX, SELECT, JSON = "text", "checkbox", "select", "json"
"""Controls. The others are types of `<input>`."""

OF_FORMATS = {"date": "date", "date-time": "datetime-local", "time": "time", "password": "password"}
"""The type of `<input>` for the formats of texts that have one."""

READ_BY = {
    "date": (date.fromisoformat, "must be a date, YYYY-MM-DD"),
    "datetime-local": (datetime.fromisoformat, "must be a date and a time, YYYY-MM-DDTHH:MM"),
    "time": (time.fromisoformat, "must be a time, HH:MM"),
    "number": (float, "must be a number"),
}
"""What a browser would leave out of such an input, if it were given in an address: it is refused instead."""


@dataclass(frozen=True)
class Field:
    """A parameter, as a form shows it."""

    name: str
    label: str
    help: str
    control: str
    """`text`, `checkbox`, `select`, `json`, or another type of `<input>`."""
    required: bool
    value: str = ""
    """What stands in it at first: what the address says, or the default."""
    choices: tuple[Choice, ...] = ()
    """Of a `select`."""
    takes_others: bool = False
    """Whether it may be something else, too."""
    suggestions: tuple[str, ...] = ()
    """What may be meant, of a text."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Of its `<input>`: the limits of numbers, for example."""
    none: str | None = None
    """What an empty text says, if that is something else than not to give it."""
    says_none: bool = False
    """Whether the address says so."""
    is_given: bool = False
    """Whether the address says anything of it."""


def fields_of(
    described: Schema, given: Mapping[str, str], reading: frozenset[str], may_be_empty: frozenset[str]
) -> list[Field]:
    """The fields for the JSON schema of parameters, in its order, with what is `given` in them.

    `reading` and `may_be_empty` are those of `KindParams`. Raises InvalidParameter for what no field can show.
    """
    required, defined = described.get("required", ()), described.get("$defs", {})
    found = []
    for name, stated in described.get("properties", {}).items():
        plain = schema.plain(stated, defined)
        words = READING.get(name) if name in reading else None
        none = None
        if name in may_be_empty:
            none = words.none if words is not None else "Nothing: an empty text"
        found.append(_field(name, plain, words, given.get(name), required=name in required, none=none))
    return found


def _field(
    name: str, plain: Schema, words: Words | None, given: str | None, *, required: bool, none: str | None
) -> Field:
    control, choices = _control(plain, words, required=required)
    default = plain.get("default")
    value = _text(default) if given is None else given
    if given and control in READ_BY:
        _check(name, given, control)
    if control == CHECKBOX and given and given not in (TRUE, FALSE):
        raise InvalidParameter(name, f"{given[:40]!r} must be {TRUE} or {FALSE}")
    if control == SELECT and value not in [choice.value for choice in choices]:
        choices = (*choices, Choice(value, value)) if value else choices
    return Field(
        name=name,
        label=words.label if words else schema.label(name, plain),
        help=words.help if words else " ".join(_help(plain, control)),
        control=control,
        required=required,
        value=value,
        choices=choices,
        takes_others=words is not None and words.takes_others,
        suggestions=tuple(map(_text, plain.get("examples", ()))) if control == TEXT else (),
        attributes=dict(_attributes(plain, control)),
        none=none,
        says_none=none is not None and given == "",
        is_given=given is not None,
    )


def _control(plain: Schema, words: Words | None, *, required: bool) -> tuple[str, tuple[Choice, ...]]:
    """What a parameter is chosen or written with, and what there is to choose."""
    values = plain.get("enum")
    if values is None and words is not None and words.offers:
        values = plain.get("examples")
    kind = plain.get("type")
    if values is not None:
        named = words.choices if words else {}
        # Those that have a name come first, in the order of the names.
        values = sorted(
            values, key=lambda value: list(named).index(_text(value)) if _text(value) in named else len(named)
        )
        label = words.labelled if words and words.labelled else str
        made = [
            Choice(_text(value), named.get(_text(value)) or label(_text(value)))
            for value in values
            if value is not None
        ]
        return SELECT, tuple(_with_empty(made, plain, words, required=required))
    if kind == "boolean":
        if plain.get("default") is False and not required:
            return CHECKBOX, ()
        # A box that is not ticked says nothing, and nothing does not mean no here.
        return SELECT, tuple(_with_empty(list(YES_AND_NO), plain, words, required=required))
    if kind in ("array", "object"):
        return JSON, ()
    if kind in ("integer", "number"):
        return "number", ()
    return OF_FORMATS.get(plain.get("format", ""), TEXT), ()


def _with_empty(made: list[Choice], plain: Schema, words: Words | None, *, required: bool) -> list[Choice]:
    """The same, with one that stands for nothing chosen yet, or for the default where there is no other for it."""
    if required:
        return [Choice("", "Choose…"), *made]
    default = plain.get("default")
    if default is not None:
        return made
    return [Choice("", words.default if words and words.default else "Not set"), *made]


def _attributes(plain: Schema, control: str) -> Iterator[tuple[str, str]]:
    if control == "number":
        whole = plain["type"] == "integer"
        lowest, highest = plain.get("minimum"), plain.get("maximum")
        if whole and lowest is None and "exclusiveMinimum" in plain:
            lowest = plain["exclusiveMinimum"] + 1
        if whole and highest is None and "exclusiveMaximum" in plain:
            highest = plain["exclusiveMaximum"] - 1
        for name, limit in (("min", lowest), ("max", highest)):
            if limit is not None:
                yield name, _text(limit)
        yield "step", "1" if whole else "any"
        yield "inputmode", "numeric" if whole else "decimal"
    if control == "datetime-local":
        yield "step", "1"
    if control == TEXT and plain.get("format") in ("uri", "email"):
        yield "inputmode", "url" if plain["format"] == "uri" else "email"


def _help(plain: Schema, control: str) -> Iterator[str]:
    """What the schema says of a parameter, in sentences."""
    if plain.get("description"):
        yield schema.sentence(plain["description"])
    if control == JSON:
        what, example = ("a list", '["a", "b"]') if plain["type"] == "array" else ("an object", '{"name": "value"}')
        yield f"As JSON, {what}: {example}."
    bounds = {
        "minimum": "at least {}",
        "exclusiveMinimum": "more than {}",
        "maximum": "at most {}",
        "exclusiveMaximum": "less than {}",
        "minLength": "at least {} characters",
        "maxLength": "at most {} characters",
        "minItems": "at least {} entries",
        "maxItems": "at most {} entries",
    }
    told = [text.format(_figure(plain[name])) for name, text in bounds.items() if name in plain]
    if told:
        yield schema.sentence(", ".join(told))
    default = plain.get("default")
    if default not in (None, False, "") and control not in (SELECT, JSON):
        yield f"By default {_text(default)}."


def _figure(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _check(name: str, given: str, control: str) -> None:
    read, allowed = READ_BY[control]
    try:
        read(given)
    except ValueError:
        raise InvalidParameter(name, f"{given[:40]!r} {allowed}") from None


def _text(value: Any) -> str:
    """A value as a form has it."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
