"""A job, as it stands in the database at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from sqlalchemy import RowMapping

from jobsvc.jobs.states import State


@dataclass(frozen=True, slots=True)
class Job:
    """One row of `jobs`.

    `done` counts the items that took effect and `failed` those that were refused;
    `position` of `size` is how far it is, in bytes of its file or in dates;
    `rate` is in items per second, over the latest run.
    """

    key: int
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
    cursor: dict[str, Any] | None
    columns: list[str] | None
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
    queue_entry: int | None
    """In the fleet, the entry of the queue that may run it, or did."""
    crashes: int
    """Attempts in a row that came to no checkpoint and did not end in good order, one that is under way included."""
    not_before: datetime | None
    """When it may begin again after a crash, or has; None: at once. See `jobs/crashes.py`."""

    @classmethod
    def from_row(cls, row: RowMapping) -> Self:
        values: dict[str, Any] = {str(name): value for name, value in row.items()}
        return cls(**values | {"state": State(row["state"])})

    @property
    def percent(self) -> float:
        """How much of the job is behind it, from 0 to 100."""
        if self.state is State.SUCCEEDED:
            return 100.0
        return round(100 * self.position / self.size, 1) if self.size else 0.0

    @property
    def rollback_percent(self) -> float | None:
        """How much of a rollback is done, from 0 to 100; None if there is none."""
        if self.rolled_back:
            return 100.0
        if self.rollback_total is None:
            return None
        return round(100 * (1 - self.done / self.rollback_total), 1) if self.rollback_total else 0.0
