"""A kind that says what it does, and what becomes of that."""

from __future__ import annotations

import sys
from typing import Any

from jobsvc.kinds import Item, Refused, Retry, RowKind


class Passes(Exception):
    """Something that the next try does not meet."""


class Talkative(RowKind):
    """Does as each row says: `say`, `refuse`, `again`, `break`, `list` what is imported, or `shout` 10,000 lines."""

    name = "talkative"
    retry = Retry(on=(Passes,), attempts=3, first_delay=0.01, max_delay=0.01)

    def __init__(self) -> None:
        self._tried: set[str] = set()
        """Keys of items that were tried. One job at a time uses it."""

    def process(self, row: Any, item: Item) -> None:
        item.log(f"doing {row['do']}")
        match row["do"]:
            case "refuse":
                raise Refused(f"{row['cell']} is not wanted")
            case "again" if item.key not in self._tried:
                self._tried.add(item.key)
                raise Passes(row["cell"])
            case "break":
                int(row["cell"])
            case "list":
                item.log(f"modules of opentelemetry: {sum(name.startswith('opentelemetry') for name in sys.modules)}")
            case "shout":
                for number in range(10_000):
                    item.log(f"line {number}", level="debug")
