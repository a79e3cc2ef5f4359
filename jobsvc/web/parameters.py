"""Reading parameters, with errors that name the parameter and what is allowed. Which a route knows: `takes`."""

from __future__ import annotations

from jobsvc.jobs.errors import InvalidParameter
from jobsvc.jobs.states import State
from jobsvc.service.following.unless import Unless
from jobsvc.service.lookup import Listed
from jobsvc.web.takes import given

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000

MAX_TEXT = 200
"""The longest text to search for; a database looks for no pattern beyond measure."""

DEFAULT_WAIT = 5.0
MAX_WAIT = 30.0
"""Seconds for which a request may wait for a run to obey, or for a job to change."""


def limit() -> int:
    """The most entries of a page."""
    text = given().get("limit", str(DEFAULT_LIMIT))
    try:
        number = int(text)
    except ValueError:
        number = 0
    if not 1 <= number <= MAX_LIMIT:
        raise InvalidParameter("limit", f"{text!r} must be a whole number from 1 to {MAX_LIMIT}")
    return number


def count(name: str, most: int) -> int:
    """How many of something to show; by default none."""
    text = given().get(name, "0")
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) <= most):
        raise InvalidParameter(name, f"{text!r} must be a whole number from 0 to {most}")
    return int(text)


def after(parts: int) -> tuple[int, ...] | None:
    """Where a page begins: the `next` of the page before, `parts` numbers joined by dots."""
    text = given().get("after")
    if text is None:
        return None
    numbers = text.split(".")
    if len(numbers) != parts or not all(
        number.isascii() and number.isdigit() and len(number) < 19 for number in numbers
    ):
        raise InvalidParameter("after", f"{text!r} must be the `next` of the page before")
    return tuple(map(int, numbers))


def wait() -> float:
    """For how many seconds to wait."""
    value = given().get("wait")
    if value is None:
        return DEFAULT_WAIT
    try:
        # JSON's true is a number to Python.
        seconds = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else -1.0
    except (ValueError, OverflowError):
        seconds = -1.0
    if not 0 <= seconds <= MAX_WAIT:
        raise InvalidParameter("wait", f"{value!r} must be a number of seconds from 0 to {MAX_WAIT:.0f}")
    return seconds


def unless() -> Unless | None:
    """What the client knows of a job: a state, or a version; None: it does not say, and does not wait."""
    text = given().get("unless")
    if text is None:
        if given().get("wait") is not None:
            raise InvalidParameter("wait", "it takes `unless` beside it: the state, or the version, that you know")
        return None
    known = Unless.read(text)
    if known is None:
        raise InvalidParameter(
            "unless", f"{text!r} must be a job's `version`, without quotes, or one of {', '.join(State)}"
        )
    return known


def states(value: str) -> tuple[State, ...]:
    """One state or several, with commas between."""
    try:
        return tuple(dict.fromkeys(map(State, value.split(","))))
    except ValueError:
        allowed = f"must be one of {', '.join(State)}, or several with commas between"
        raise InvalidParameter("state", f"{value!r} {allowed}") from None


def search(value: str) -> str:
    """The text to search for."""
    if len(value) > MAX_TEXT or not value.isprintable():
        raise InvalidParameter("text", f"it must be a text of up to {MAX_TEXT} printable characters")
    return value


def text(name: str) -> str | None:
    """A parameter that is taken as it is; empty counts as not given."""
    return given().get(name) or None


def listed() -> Listed:
    """Which jobs to list: by `state`, `kind`, `user` and `text`."""
    state, looked_for = text("state"), text("text")
    return Listed(
        states=states(state) if state else (),
        kind=text("kind"),
        user=text("user"),
        text=search(looked_for) if looked_for else None,
    )


def flag(name: str, value: object) -> bool:
    """A yes or no, from JSON or from a form; not given means no."""
    flags: dict[object, bool] = {None: False, "": False, "1": True, "true": True, "0": False, "false": False}
    if isinstance(value, bool):
        return value
    try:
        return flags[value]
    except (KeyError, TypeError):
        raise InvalidParameter(name, f"{value!r} must be true or false") from None
