"""A kind that says what it does, and what becomes of that."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from threading import Event
from typing import Any

from jobsvc.kinds import Item, Refused, Retry, RowKind

log = logging.getLogger(__name__)


class Passes(Exception):
    """Something that the next try does not meet."""


class Talkative(RowKind):
    """Does as each row says: `say`, `nap` for milliseconds, `refuse`, `again`, `break`, `shout` 10,000 lines,
    `list` what is imported, or `leak` what is in a file into the log of the process."""

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
            case "nap":
                Event().wait(0.005)
            case "leak":
                log.warning("it is %s", Path(row["cell"]).read_text().strip())
            case "list":
                item.log(f"modules of opentelemetry: {sum(name.startswith('opentelemetry') for name in sys.modules)}")
            case "shout":
                for number in range(10_000):
                    item.log(f"line {number}", level="debug")
