"""`bulkTeam`: every row of a CSV becomes a team with its members."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from sqlalchemy import select
from sqlalchemy.dialects import sqlite

from jobsvc.kinds.contract import Block, Effects, JobContext, JobFailed, Kind, Refused, Work
from jobsvc.kinds.csv_work import CsvWork
from jobsvc.store.tables import team_members, teams

TEAM = "team"
MEMBERS = "members"

Team: TypeAlias = tuple[int, str, list[str]]
"""row, name, members."""


class BulkTeam(Kind):
    name = "bulkTeam"
    takes_file = True

    def open(self, context: JobContext) -> Work:
        return _Teams(context)


class _Teams(CsvWork):
    def __init__(self, context: JobContext) -> None:
        super().__init__(context)
        header = self.source.columns
        if header[0] != TEAM:
            self.close()
            raise JobFailed(f"the first column must be called {TEAM!r}; the header has {', '.join(header)}")
        self._lists = [name == MEMBERS for name in header[1:]]

    def blocks(self) -> Iterator[Block]:
        return self.source.blocks(self._team)

    def _team(self, row: int, fields: list[str]) -> Team:
        name = fields[0].strip()
        if not name:
            raise Refused("the team has no name")
        members: list[str] = []
        for field, is_list in zip(fields[1:], self._lists, strict=True):
            names = field.split(";") if is_list else [field]
            members += [member.strip() for member in names if member.strip()]
        return row, name, members

    def apply(self, effects: Effects, items: Sequence[Team]) -> Sequence[tuple[int, str]]:
        new: dict[str, Team] = {}
        refused: list[tuple[int, str]] = []
        for team in items:
            if new.setdefault(team[1], team) is not team:
                refused.append((team[0], _exists(team[1])))
        made = self._make_teams(effects, new)
        refused += [(team[0], _exists(name)) for name, team in new.items() if name not in made]
        effects.insert(
            team_members,
            ("team_id", "position", "name"),
            [
                (team_id, position, member)
                for name, team_id in made.items()
                for position, member in enumerate(new[name][2], 1)
            ],
        )
        return refused

    def _make_teams(self, effects: Effects, new: dict[str, Team]) -> dict[str, int]:
        """Insert the teams whose names are free; returns the ids of those, by name."""
        if not new:
            return {}
        rows = [{"job_key": effects.job_key, "row": row, "name": name} for row, name, _ in new.values()]
        effects.execute(sqlite.insert(teams).on_conflict_do_nothing(index_elements=[teams.c.name]), rows)
        mine = select(teams.c.name, teams.c.id).where(
            teams.c.job_key == effects.job_key,
            teams.c.row.between(rows[0]["row"], rows[-1]["row"]),
        )
        return {row.name: row.id for row in effects.execute(mine)}


def _exists(name: str) -> str:
    return f"a team called {name!r} exists already"
