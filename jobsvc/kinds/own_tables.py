"""The tables that kinds bring."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection

from jobsvc.kinds.contract import Kind


def make_tables(connection: Connection, kinds: Iterable[Kind]) -> None:
    """Make those tables of these kinds that are not there yet. The others stay as they are, old columns included."""
    for kind in kinds:
        if kind.tables is not None:
            kind.tables.create_all(connection)
