"""What a job has come to, and what differs between two outcomes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import Connection

from jobsvc.jobs.states import State
from jobsvc.store import tables as service_tables

KIND_TABLES = {
    table.name
    for table in (
        service_tables.records,
        service_tables.teams,
        service_tables.team_members,
        service_tables.dry_run_teams,
    )
}
"""The service's own tables that belong to its kinds; all its others are bookkeeping."""

BOOKKEEPING = ({*service_tables.metadata.tables} | {"alembic_version"}) - KIND_TABLES

MAX_SHOWN = 5
"""Rows of a difference that are shown."""

Row: TypeAlias = dict[str, Any]


class Logged(NamedTuple):
    """A line that the kind wrote into its job's log."""

    text: str
    level: str = "info"
    item: int | None = None
    attempt: int = 1


@dataclass(frozen=True)
class Outcome:
    """How a job has ended, and everything that it made."""

    state: State
    done: int
    failed: int
    error: str | None
    refused: list[tuple[int, str]]
    """The line (without a file: the number) and the reason of each refused item."""
    tables: dict[str, list[Row]]
    """The contents of tables, by name; values as the database holds them."""
    output: bytes | None = field(default=None, repr=False)
    """The file it made."""
    outside: Any = None
    """What the author's `outcome` returned."""
    log: list[Logged] = field(default_factory=list, compare=False)
    """What the kind wrote into the job's log. That need not be the same after a fault."""

    def difference(self, other: Outcome) -> list[str]:
        """What is different in `other`, the outcome with a fault, in words."""
        found = [
            f"{name}: {getattr(self, name)!r} undisturbed, {getattr(other, name)!r} disturbed"
            for name in ("state", "done", "failed", "error", "refused", "outside")
            if getattr(self, name) != getattr(other, name)
        ]
        found += table_difference(self.tables, other.tables)
        if self.output != other.output:
            found.append(f"the file made: {_brief(self.output)} undisturbed, {_brief(other.output)} disturbed")
        return found


def table_difference(expected: dict[str, list[Row]], found: dict[str, list[Row]]) -> list[str]:
    """What is missing or too much in `found`, in words."""
    lines = []
    for name in sorted({*expected, *found}):
        wanted = Counter(map(repr, expected.get(name, [])))
        there = Counter(map(repr, found.get(name, [])))
        lines += [f"table {name}: missing {row}" for row in _some(wanted - there)]
        lines += [f"table {name}: too much {row}" for row in _some(there - wanted)]
    return lines


def _some(rows: Counter[str]) -> list[str]:
    shown = list(rows.elements())
    return shown if len(shown) <= MAX_SHOWN else [*shown[:MAX_SHOWN], f"and {len(shown) - MAX_SHOWN} more"]


def _brief(data: bytes | None) -> str:
    return "none" if data is None else f"{len(data)} bytes ending in {data[-60:]!r}"


def contents(connection: Connection, only: Collection[str] | None, ignore: Collection[str]) -> dict[str, list[Row]]:
    """The rows of the tables called `only` (None: of all but the bookkeeping), without the columns to `ignore`."""
    if only is None:
        names = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        only = sorted({*connection.exec_driver_sql(names).scalars()} - BOOKKEEPING)
    found: dict[str, list[Row]] = {}
    for table in only:
        # The names are those of tables in the database.
        rows = connection.exec_driver_sql(f'SELECT * FROM "{table}"').mappings()  # noqa: S608
        found[table] = sorted(
            ({name: value for name, value in row.items() if f"{table}.{name}" not in ignore} for row in rows),
            key=repr,
        )
    return found
