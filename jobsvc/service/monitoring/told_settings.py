"""Settings as they may be told to people: no secret is among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobsvc.settings import VARIABLES, Given, SettingError, Settings, Variable

SET = "set"
"""What is told of a secret."""

DEFAULT = "default"
PROGRAM = "the program that starts the service"


@dataclass(frozen=True)
class ToldSetting:
    """`value` is as one would write it in .env; None: it is empty. `where` it comes from."""

    name: str
    value: str | None
    where: str


def told_settings(settings: Settings, given: Mapping[str, Given]) -> list[ToldSetting]:
    """The settings of a process, which were read from what is `given`."""
    return [_told(variable, settings, given.get(variable.name)) for variable in VARIABLES]


def _told(variable: Variable, settings: Settings, given: Given | None) -> ToldSetting:
    value = getattr(settings, variable.field)
    if variable.is_secret:
        text = SET if value else None
    else:
        text = as_text(value)
        text = text if text is None else variable.masked(text)
    return ToldSetting(variable.name, text, _where(variable, value, given))


def _where(variable: Variable, value: Any, given: Given | None) -> str:
    if given is not None and given.text.strip():
        try:
            if variable.read(given.text.strip()) == value:
                return given.where
        except SettingError:
            pass
    return DEFAULT if value == getattr(Settings(), variable.field) else PROGRAM


def as_text(value: Any) -> str | None:
    """A value as one would write it in .env; None: it is empty."""
    match value:
        case bool() as flag:
            return str(int(flag))
        case float() as number:
            return f"{number:g}"
        case tuple() as several:
            return ",".join(map(str, several)) or None
        case other:
            return str(other) or None
