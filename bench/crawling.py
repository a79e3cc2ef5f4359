"""A kind whose jobs run for as long as they are wanted to: one row in five seconds."""

from __future__ import annotations

from typing import Any

from jobsvc.kinds import Item, RowKind


class Crawling(RowKind):
    """Does nothing with each row, slowly."""

    name = "crawling"
    rate = 0.2

    def process(self, row: Any, item: Item) -> None: ...
