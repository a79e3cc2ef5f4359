"""A job, as it stands in the database at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any, Self

from sqlalchemy import RowMapping

from jobsvc.identifiers import ActionKey, EntryId, JobKey, Priority
from jobsvc.jobs.states import FINISHED, State
from jobsvc.jobs.stored_file import StoredFile

UNKNOWN_MOMENT = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a job stands, and its header: what only a run needs, or a look into its file. May be large."""

    cursor: dict[str, Any] | None
    columns: list[str] | None
    unreadable: str = ""

    @classmethod
    def from_row(cls, row: RowMapping) -> Self:
        odd = [
            name
            for name, value, kind in (("cursor", row["cursor"], dict), ("columns", row["columns"], list))
            if value is not None and not isinstance(value, kind)
        ]
        if odd:
            return cls(None, None, f"{' and '.join(odd)} in the database can't be read")
        return cls(row["cursor"], row["columns"])


@dataclass(frozen=True, slots=True)
class Job:
    """One row of `jobs`.

    `done` counts the items that took effect and `failed` those that were refused;
    `position` of `size` is how far it is, in bytes of its file or in dates;
    `rate` is in items per second, over the latest run.
    """

    key: JobKey
    id: str
    kind: str
    user: str
    state: State
    attempt: int
    params: Mapping[str, Any]
    created_at: datetime
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    done: int
    failed: int
    position: int
    size: int
    rate: float | None
    eta_seconds: float | None
    error: str | None
    rolled_back: bool
    filename: str | None
    """What the client called its file; for people to read."""
    callback_url: str | None
    rollback: str | None
    """None, or where a rollback stands that was asked for: `wanted` or `running`."""
    rollback_total: int | None
    """How many items there were to roll back."""
    files_removed_at: datetime | None
    deleted_at: datetime | None
    queue_entry: EntryId | None
    """In the fleet, the entry of the queue that may run it, or did."""
    crashes: int
    """Attempts in a row that came to no checkpoint and did not end in good order, one that is under way included."""
    not_before: datetime | None
    """When it may begin again after a crash, or has; None: at once. See `runs/crashes.py`."""
    blank: int
    """Lines of its file that were left out since nothing is in them."""
    warnings: list[str]
    """What its owner should know, and what did not stop it."""
    stopped_by: ActionKey | None
    """The action on many jobs that has stopped it, unless somebody has asked something else of it since."""
    taken_back: int
    """Items that took effect and were rolled back since; `done` counts them no more."""
    request_id: str | None
    """The request that has made it; None if none did, or an earlier version."""
    scope: str | None
    """The user whose records alone it may read; None: everybody's."""
    priority: Priority
    turn: int
    """Its place among the queued jobs of its priority, or the one that it had; 0: before all that have turns."""
    gives_way: bool
    """Whether its run is to leave its slot to a job of a higher priority. See `runs/sharing/giving_way.py`."""
    held: bool
    """Whether it waits, in a fleet, for another job of its user to leave its slot. See `runs/sharing/holding.py`."""
    file: StoredFile | None
    """Its upload; None if it has none, or if an earlier version has received it."""
    uploaded_at: datetime | None
    """When its file was uploaded, if that was for another job."""
    applied_from: str | None
    """The id of the dry run that was applied as this job. It reads that job's file."""
    applied_as: list[str]
    """Of a dry run: the ids of the latest jobs that were made of its file. Some may be forgotten by now."""

    unreadable: str = ""
    """What can't be read of it, since somebody else wrote it. Something harmless is in its place."""

    @classmethod
    def from_row(cls, row: Mapping[Any, Any]) -> Self:
        """The job of a row, whatever the row holds: a list of jobs must not break off at one of them."""
        values: dict[str, Any] = {str(name): value for name, value in row.items()}
        odd: list[str] = []
        try:
            values["state"] = State(row["state"])
        except ValueError:
            values["state"] = State.FAILED
            odd.append("state")
        try:
            values["priority"] = Priority(row["priority"])
        except ValueError:
            values["priority"] = Priority.NORMAL
            odd.append("priority")
        if not isinstance(row["params"], dict):
            values["params"] = {}
            odd.append("params")
        values["file"] = StoredFile.from_json(row["file"])
        if row["file"] is not None and values["file"] is None:
            odd.append("file")
        if not isinstance(row["applied_as"], list):
            values["applied_as"] = []
            odd.append("applied_as")
        if not isinstance(row["warnings"], list):
            values["warnings"] = []
            odd.append("warnings")
        for name in ("created_at", "queued_at"):
            if row[name] is None:
                values[name] = UNKNOWN_MOMENT
                odd.append(name)
        if odd:
            values["unreadable"] = f"{' and '.join(odd)} in the database can't be read"
        return cls(**values)

    def changed(self, values: Mapping[str, Any]) -> Job:
        """The job once these columns of its row were changed; some of them may not be the job's to know."""
        return replace(self, **{name: value for name, value in values.items() if name in _COLUMNS})

    @property
    def input_id(self) -> str:
        """The id of the job for which its file was uploaded. The store has the file by that."""
        return self.applied_from or self.id

    @property
    def saw_everything(self) -> bool:
        """Whether it has come to its end with every item looked at: done, or refused."""
        return self.state is State.SUCCEEDED or (self.state in FINISHED and 0 < self.size <= self.position)

    @property
    def percent(self) -> float:
        """How much of the job is done, from 0 to 100."""
        if self.state is State.SUCCEEDED:
            return 100.0
        return round(100 * self.position / self.size, 1) if self.size else 0.0

    @property
    def rollback_percent(self) -> float | None:
        """How much of a rollback is done, from 0 to 100; None if there is none."""
        if self.rolled_back:
            return 100.0
        if self.rollback_total is None:
            return None if self.rollback is None else 0.0
        return round(100 * (1 - self.done / self.rollback_total), 1) if self.rollback_total else 0.0

    @property
    def rollback_removed(self) -> int:
        """How many items a rollback has undone so far; `done` says how many are left."""
        return 0 if self.rollback_total is None else max(0, self.rollback_total - self.done)


_COLUMNS = frozenset(field.name for field in fields(Job)) - {"unreadable"}
