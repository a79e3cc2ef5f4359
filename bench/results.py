"""What a run of the bench has found, and the file that keeps it."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from bench.report import HEADER, Measured, Row, Series

LAST = Path(__file__).with_name("results.json")
"""Of the last full run; it is committed, and the table and the plots of the docs are made from it."""

BEFORE = Path(__file__).with_name("before.json")
"""The same of an older version, for the plots that show both."""


@dataclass
class Results:
    measured: dict[str, Any]
    """When and on what."""
    rows: list[Row] = field(default_factory=list)
    series: list[Series] = field(default_factory=list)

    def add(self, measured: Iterable[Measured]) -> None:
        for one in measured:
            if isinstance(one, Row):
                self.rows.append(one)
            else:
                self.series.append(one)

    def named(self, name: str) -> Series:
        """A series, one without points if it was not measured."""
        return next((series for series in self.series if series.name == name), Series(name, "", "", ()))

    def points(self, name: str) -> tuple[tuple[float, float], ...]:
        return self.named(name).points

    @property
    def missed(self) -> list[Row]:
        return [row for row in self.rows if row.ok is False]

    def table(self) -> str:
        """All rows as a table in Markdown, its columns aligned for those who read it as it is."""
        lines = [HEADER, *(row.cells for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        aligned = [f"| {' | '.join(map(str.ljust, line, widths))} |" for line in lines]
        return "\n".join([aligned[0], f"|{'|'.join('-' * (width + 2) for width in widths)}|", *aligned[1:]])

    def write(self, path: Path) -> None:
        told = {
            "measured": self.measured,
            "rows": [row.as_json() for row in self.rows],
            "series": [asdict(series) for series in self.series],
        }
        path.write_text(json.dumps(told, indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises FileNotFoundError if nothing was measured yet."""
        told = json.loads(path.read_text())
        series = [
            Series(one["name"], one["x"], one["y"], tuple((x, y) for x, y in one["points"])) for one in told["series"]
        ]
        return cls(told["measured"], [Row.from_json(row) for row in told["rows"]], series)


def here(scale: str) -> dict[str, Any]:
    """What a run's figures depend on."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "scale": scale,
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "sqlite": sqlite3.sqlite_version,
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()
