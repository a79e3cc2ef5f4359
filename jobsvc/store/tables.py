"""The tables. Migrations in `migrations/` make them; `tests/store` checks that both agree."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment. Aware datetimes go in, UTC datetimes come out, also where the database knows no time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class JsonText(TypeDecorator[Any]):
    """A JSON value."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value)


metadata = MetaData()

jobs = Table(
    "jobs",
    metadata,
    Column("key", Integer, primary_key=True),
    Column("id", String, nullable=False, unique=True),
    Column("kind", String, nullable=False),
    Column("user", String, nullable=False),
    Column("state", String, nullable=False),
    Column("attempt", Integer, nullable=False, default=0),
    Column("params", JsonText, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("queued_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("cursor", JsonText),
    Column("columns", JsonText),
    Column("done", Integer, nullable=False, default=0),
    Column("failed", Integer, nullable=False, default=0),
    Column("position", Integer, nullable=False, default=0),
    Column("size", Integer, nullable=False, default=0),
    Column("rate", Float),
    Column("eta_seconds", Float),
    Column("error", Text),
    Column("rolled_back", Boolean, nullable=False, default=False),
    Index("jobs_state", "state", "queued_at", "key"),
    sqlite_autoincrement=True,
)

job_events = Table(
    "job_events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("job_key", Integer, ForeignKey("jobs.key"), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("from", String),
    Column("to", String, nullable=False),
    Column("who", String, nullable=False),
    Column("why", String, nullable=False),
    Index("job_events_job", "job_key", "id"),
)

refused_rows = Table(
    "refused_rows",
    metadata,
    Column("job_key", Integer, ForeignKey("jobs.key"), primary_key=True),
    Column("item", Integer, primary_key=True),
    Column("error", Text, nullable=False),
    Column("line", Integer),
    Column("offset", Integer),
    Column("length", Integer),
    sqlite_with_rowid=False,
)

# No foreign key to jobs: looking the job up for each of millions of rows costs a
# tenth of the import, and every insert is in one transaction with the job's own
# checkpoint anyway.
records = Table(
    "records",
    metadata,
    Column("job_key", Integer, primary_key=True),
    Column("row", Integer, primary_key=True),
    Column("date", String(10), nullable=False),
    Column("data", Text, nullable=False),
    Index("records_date", "date", "job_key", "row"),
    sqlite_with_rowid=False,
)

teams = Table(
    "teams",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("job_key", Integer, ForeignKey("jobs.key"), nullable=False),
    Column("row", Integer, nullable=False),
    Column("name", String, nullable=False, unique=True),
    Index("teams_job", "job_key", "row", unique=True),
)

team_members = Table(
    "team_members",
    metadata,
    Column("team_id", Integer, ForeignKey("teams.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("name", String, nullable=False),
    sqlite_with_rowid=False,
)
