"""What the bench measures: rows of the table, and series for the plots."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, Self

NOTHING = "-"
"""Stands where there is no figure."""

HEADER = ("what", "this project", "reference", "ratio", "target", "result")


@dataclass(frozen=True)
class Row:
    """One line of the table. `ok` is None where there is no target, or nothing could be judged."""

    what: str
    ours: float | None
    """None if nothing was measured; `against` says why."""
    unit: str
    digits: int
    """How many digits after the point are shown of both figures."""
    reference: float | None
    against: str
    """What the reference is."""
    compared: Literal["ratio", "difference", "not"]
    target: str
    ok: bool | None

    @property
    def cells(self) -> tuple[str, ...]:
        """The texts of the line, one for each of HEADER."""
        return (self.what, self._ours(), self._reference(), self._compared(), self.target, self._result())

    def _ours(self) -> str:
        return "not measured" if self.ours is None else f"{self.ours:,.{self.digits}f} {self.unit}"

    def _reference(self) -> str:
        if self.reference is None:
            return self.against or NOTHING
        return f"{self.reference:,.{self.digits}f} {self.unit} ({self.against})"

    def _compared(self) -> str:
        if self.ours is None or self.reference is None or self.compared == "not":
            return NOTHING
        if self.compared == "difference":
            return f"{self.ours - self.reference:+,.{self.digits}f} {self.unit}"
        return f"{self.ours / self.reference:.2f} x" if self.reference else NOTHING

    def _result(self) -> str:
        return {True: "ok", False: "MISSED", None: NOTHING}[self.ok]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Self:
        return cls(**{field.name: told[field.name] for field in fields(cls)})


@dataclass(frozen=True)
class Series:
    """Points that a plot needs, each (x, y). A subject yields its series beside its rows."""

    name: str
    """What `bench/plots.py` looks for."""
    x: str
    y: str
    """What the figures are, with their units."""
    points: tuple[tuple[float, float], ...]


Measured = Row | Series


def times(
    what: str, ours: float, reference: float, *, unit: str, against: str, at_least: float | None, digits: int = 0
) -> Row:
    """A row whose target is a ratio: so many times what the reference does (None: for information only)."""
    target = "none" if at_least is None else f"at least {at_least:.3g} x"
    ok = None if at_least is None else ours >= at_least * reference
    return Row(what, ours, unit, digits, reference, against, "ratio", target, ok)


def at_most_times(
    what: str, ours: float, reference: float, most: float, *, unit: str, against: str, digits: int = 1
) -> Row:
    """A row whose target is a ratio: no more than so many times what the reference takes."""
    return Row(what, ours, unit, digits, reference, against, "ratio", f"at most {most:.3g} x", ours <= most * reference)


def at_most(
    what: str,
    ours: float,
    most: float,
    *,
    unit: str,
    reference: float | None = None,
    against: str = "",
    digits: int = 1,
) -> Row:
    """A row whose target is a bound on its own figure; a reference is shown, but doesn't decide."""
    return Row(what, ours, unit, digits, reference, against, "ratio", f"at most {most:g} {unit}", ours <= most)


def at_most_more(
    what: str, ours: float, reference: float, most: float, *, unit: str, against: str, digits: int = 1
) -> Row:
    """A row whose target is a bound on how much more it takes than the reference."""
    target, ok = f"at most +{most:g} {unit}", ours - reference <= most
    return Row(what, ours, unit, digits, reference, against, "difference", target, ok)


def not_measured(what: str, why: str, target: str) -> Row:
    return Row(what, None, "", 0, None, why, "not", target, None)


def broken(subject: str, error: Exception) -> Row:
    """Stands in the table for a subject that failed: it misses all of its targets."""
    return Row(subject, None, "", 0, None, f"{type(error).__name__}, see above", "not", NOTHING, False)


def unjudged(row: Row, why: str) -> Row:
    """The same figures, for information only."""
    return replace(row, target=why, ok=None)
