"""`bulkTeam`: every row of a CSV becomes a team with its members."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, repeat
from typing import Any, TypeAlias

from sqlalchemy import delete, func, select

from jobsvc.kinds.contract import (
    Batch,
    Effects,
    JobContext,
    JobFailed,
    Kind,
    Prepared,
    Readable,
    Reason,
    Refused,
    RefusedLate,
    Work,
)
from jobsvc.kinds.csv.params import UploadParams
from jobsvc.kinds.csv.text import shortened
from jobsvc.kinds.csv.upload_check import settled
from jobsvc.kinds.csv.work import CsvWork
from jobsvc.store.tables import dry_run_teams, team_members, teams

TEAM = "team"
MEMBERS = "members"

MAX_NAME_BYTES = 2000
"""Teams are found by their names, and what PostgreSQL's index finds has to fit into a third of a page."""

Team: TypeAlias = tuple[int, str, list[str]]
"""row, name, members."""


class BulkTeam(Kind):
    """Every row of a CSV becomes a team with its members."""

    name = "bulkTeam"
    Params = UploadParams

    def open(self, context: JobContext) -> Work:
        return _Teams(context)

    def prepare(self, params: UploadParams, upload: Readable | None) -> Prepared:
        assert upload is not None
        found = settled(params, upload)
        return Prepared(found.params, found.warnings)

    def undo(self, effects: Effects, limit: int) -> int:
        mine = teams.c.job_key == effects.job_key
        latest = select(teams.c.id).where(mine).order_by(teams.c.row.desc()).limit(limit).subquery()
        first = effects.execute(select(func.min(latest.c.id))).scalar_one()
        if first is None:
            return 0
        ids = select(teams.c.id).where(mine, teams.c.id >= first)
        effects.execute(delete(team_members).where(team_members.c.team_id.in_(ids)))
        return effects.execute(delete(teams).where(mine, teams.c.id >= first)).rowcount

    def clean_up(self, effects: Effects) -> None:
        effects.execute(delete(dry_run_teams).where(dry_run_teams.c.job_key == effects.job_key))


class _Teams(CsvWork):
    reads_ahead = True

    def __init__(self, context: JobContext) -> None:
        super().__init__(context)
        self._batch_items, self._turn = context.batch_items, context.turn
        self._dry_run: bool = context.params.dry_run
        header = self.source.columns
        if header[0].strip().casefold() != TEAM:
            self.close()
            raise JobFailed(
                f"the first column must be called {TEAM!r}; the header has {shortened(', '.join(header), 500)}"
            )
        self._read = context.read
        self._foreseen: set[str] = set()
        """The names of all teams so far, in a preview."""
        self._name_column = header[0]
        self._lists = [name.strip().casefold() == MEMBERS for name in header[1:]]

    def batches(self) -> Iterator[Batch]:
        return self.source.batches(self._team, wanted=self._batch_items, turn=self._turn)

    def _team(self, row: int, fields: list[str]) -> Team:
        name = fields[0].strip()
        if not name:
            raise Refused("the team has no name", column=self._name_column)
        if len(name.encode()) > MAX_NAME_BYTES:
            why = f"the team's name is longer than {MAX_NAME_BYTES} bytes"
            raise Refused(why, group=why, column=self._name_column)
        members: list[str] = []
        # A row has as many members as it has, whatever the header says.
        for field, is_list in zip(fields[1:], chain(self._lists, repeat(False)), strict=False):
            names = field.split(";") if is_list else [field]
            members += [member.strip() for member in names if member.strip()]
        return row, name, members

    def apply(self, effects: Effects, items: Sequence[Team]) -> Sequence[RefusedLate]:
        new: dict[str, Team] = {}
        refused: list[RefusedLate] = []
        for team in items:
            if new.setdefault(team[1], team) is not team:
                refused.append(self._exists(team))
        made = self._free_names(effects, new)
        refused += [self._exists(team) for name, team in new.items() if name not in made]
        if self._dry_run:
            return refused
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

    def shown(self, item: Team) -> Mapping[str, Any]:
        return {"name": item[1], "members": item[2]}

    def foreseen(self, items: Sequence[Team]) -> Sequence[RefusedLate]:
        """Teams whose names exist already, in the database or further up in the file."""
        new = {name for _, name, _ in items} - self._foreseen
        with self._read() as connection:
            existing = set(connection.execute(select(teams.c.name).where(teams.c.name.in_(new))).scalars())
        refused = []
        for team in items:
            if team[1] in existing or team[1] in self._foreseen:
                refused.append(self._exists(team))
            self._foreseen.add(team[1])
        return refused

    def _exists(self, team: Team) -> RefusedLate:
        text = f"a team called {shortened(team[1])!r} exists already"
        return RefusedLate(team[0], Reason(text, group="a team of this name exists already", column=self._name_column))

    def _free_names(self, effects: Effects, new: dict[str, Team]) -> dict[str, int]:
        """Take the names that are free; returns the ids of their teams, by name.

        A dry run takes them in a table of its own, where a team's row stands for its id.
        """
        if not new:
            return {}
        rows = [{"job_key": effects.job_key, "row": row, "name": name} for row, name, _ in new.values()]
        table = teams
        if self._dry_run:
            table = dry_run_teams
            existing = set(effects.execute(select(teams.c.name).where(teams.c.name.in_(new))).scalars())
            rows = [row for row in rows if row["name"] not in existing]
            if not rows:
                return {}
        effects.insert_new(table, rows)
        stands_for = table.c.row if self._dry_run else table.c.id
        mine = select(table.c.name, stands_for.label("id")).where(
            table.c.job_key == effects.job_key,
            table.c.row.between(rows[0]["row"], rows[-1]["row"]),
        )
        return {row.name: row.id for row in effects.execute(mine)}
