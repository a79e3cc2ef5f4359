"""The rows that the bench measures, and the table it prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

NOTHING = "-"
"""Stands where there is no figure."""

HEADER = ("what", "this project", "reference", "ratio", "target", "result")


@dataclass(frozen=True)
class Row:
    """One line of the table. `ok` is None where there is no target, or nothing could be measured."""

    what: str
    ours: str
    reference: str
    ratio: str
    target: str
    ok: bool | None

    @property
    def result(self) -> str:
        return {True: "ok", False: "MISSED", None: NOTHING}[self.ok]


def times(what: str, ours: float, reference: float, *, unit: str, against: str, at_least: float | None) -> Row:
    """A row whose target is a ratio: so many times what the reference does (None: for information only)."""
    ratio = ours / reference
    return Row(
        what,
        f"{ours:,.0f} {unit}",
        f"{reference:,.0f} {unit} ({against})",
        f"{ratio:.2f} x",
        "none" if at_least is None else f"at least {at_least:.3g} x",
        None if at_least is None else ratio >= at_least,
    )


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
    return Row(
        what,
        f"{ours:,.{digits}f} {unit}",
        NOTHING if reference is None else f"{reference:,.{digits}f} {unit} ({against})",
        f"{ours / reference:.2f} x" if reference else NOTHING,
        f"at most {most:g} {unit}",
        ours <= most,
    )


def at_most_more(
    what: str, ours: float, reference: float, most: float, *, unit: str, against: str, digits: int = 1
) -> Row:
    """A row whose target is a bound on how much more it takes than the reference."""
    more = ours - reference
    return Row(
        what,
        f"{ours:,.{digits}f} {unit}",
        f"{reference:,.{digits}f} {unit} ({against})",
        f"{more:+,.{digits}f} {unit}",
        f"at most +{most:g} {unit}",
        more <= most,
    )


def not_measured(what: str, why: str, target: str) -> Row:
    return Row(what, "not measured", why, NOTHING, target, None)


def unjudged(row: Row, why: str) -> Row:
    """The same figures, for information only."""
    return replace(row, target=why, ok=None)


def table(rows: Sequence[Row]) -> str:
    """The rows as text, its columns aligned."""
    lines = [HEADER, *((row.what, row.ours, row.reference, row.ratio, row.target, row.result) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    aligned = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
    return "\n".join([aligned[0], "  ".join("-" * width for width in widths), *aligned[1:]])
