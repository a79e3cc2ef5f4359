"""A line of the log: as JSON for machines, as text for people. One event is one line, whatever is in it."""

from __future__ import annotations

import copy
import logging
from datetime import UTC, datetime
from typing import Any

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from jobsvc.logs.about import current
from jobsvc.logs.private import without_texts
from jobsvc.logs.secrets import Censor

IN_MESSAGE = "in_message"
"""In a line's `extra`: the names of fields whose values its message has too. As text, the line does not repeat them."""

NOT_FIELDS = frozenset({*RESERVED_ATTRS, "private", IN_MESSAGE, "color_message"})

AS_IT_IS = frozenset({"time", "level", "logger"})

MAX_CHARACTERS = 16_384
"""A text in a line has so many at most: what collects logs splits or drops longer lines."""


def cut(text: str) -> str:
    left_out = len(text) - MAX_CHARACTERS
    return text if left_out <= 0 else f"{text[:MAX_CHARACTERS]}… ({left_out} characters left out)"


def one_line(text: str) -> str:
    """The text with what would end a line, or steer a terminal, written out."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text
    )


def time_of(record: logging.LogRecord) -> str:
    """RFC 3339, in UTC, with milliseconds."""
    at = datetime.fromtimestamp(record.created, UTC).replace(tzinfo=None)
    return at.isoformat(timespec="milliseconds") + "Z"


def _told(record: logging.LogRecord) -> logging.LogRecord:
    """The record, with an exception that is private told without its texts."""
    if not getattr(record, "private", False) or not record.exc_info or record.exc_info[1] is None:
        return record
    told = copy.copy(record)
    # Others that write this record have their own way with it.
    told.exc_text, told.exc_info = without_texts(record.exc_info[1]), None
    return told


class JsonLines(JsonFormatter):
    """One JSON object a line, in ASCII: no character of a text can end the line."""

    def __init__(self, censor: Censor) -> None:
        super().__init__(reserved_attrs=sorted(NOT_FIELDS), json_default=str, json_ensure_ascii=True)
        self.censor = censor
        """Replaced as a whole, by `setup.hide`."""

    def format(self, record: logging.LogRecord) -> str:
        return super().format(_told(record))

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        log_data |= {
            "time": time_of(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.message,
            **current(),
        }
        super().add_fields(log_data, record, message_dict)
        if "exc_info" in log_data:
            log_data["traceback"] = log_data.pop("exc_info")

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        # The name of a logger may be somebody's password: it is no secret where it stands.
        return {name: value if name in AS_IT_IS else self._clean(value) for name, value in log_data.items()}

    def _clean(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        return cut(self.censor.clean(str(value)))


class TextLines(logging.Formatter):
    """For a terminal: `time LEVEL logger: message  name=value …`, a traceback indented below it."""

    def __init__(self, censor: Censor) -> None:
        super().__init__()
        self.censor = censor
        """Replaced as a whole, by `setup.hide`."""

    def format(self, record: logging.LogRecord) -> str:
        record = _told(record)
        shown = getattr(record, IN_MESSAGE, ())
        fields = {name: value for name, value in {**current(), **_extras(record)}.items() if name not in shown}
        name = record.name.removeprefix("jobsvc.")
        said = "".join(f" {field}={_shown(value)}" for field, value in fields.items())
        message = cut(self.censor.clean(f"{record.getMessage()} {said}" if said else record.getMessage()))
        line = one_line(f"{time_of(record)} {record.levelname:<7} {name}: {message}")
        below = [record.exc_text or (self.formatException(record.exc_info) if record.exc_info else "")]
        below += [record.stack_info or ""]
        more = self.censor.clean("\n".join(text for text in below if text))
        # Indented, so that no text in it can pass for a line of the log.
        return "\n    ".join([line, *map(one_line, more.splitlines())])


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in record.__dict__.items() if name not in NOT_FIELDS}


def _shown(value: object) -> str:
    text = str(value)
    return text if text and " " not in text and "=" not in text else repr(text)
