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
    Column("filename", String),
    Column("callback_url", String),
    # NULL, or where a rollback that was asked for stands: "wanted" or "running".
    Column("rollback", String),
    Column("rollback_total", Integer),
    Column("files_removed_at", UtcDateTime),
    # Set when the job was forgotten. Its row stays, since its records need its id and columns.
    Column("deleted_at", UtcDateTime),
    Index("jobs_state", "state", "queued_at", "key"),
    Index("jobs_finished", "finished_at"),
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

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("user", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("fingerprint", String, nullable=False),
    Column("job_key", Integer, ForeignKey("jobs.key"), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index("idempotency_keys_created", "created_at"),
    sqlite_with_rowid=False,
)

# The names that a dry run of bulkTeam would have taken.
dry_run_teams = Table(
    "dry_run_teams",
    metadata,
    Column("job_key", Integer, ForeignKey("jobs.key"), primary_key=True),
    Column("name", String, primary_key=True),
    Column("row", Integer, nullable=False),
    Index("dry_run_teams_row", "job_key", "row"),
    sqlite_with_rowid=False,
)

# The outbox: what is to be sent, written in the transaction that it tells of.
webhooks = Table(
    "webhooks",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("message_id", String, nullable=False, unique=True),
    Column("job_key", Integer, ForeignKey("jobs.key"), nullable=False),
    Column("url", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    # When to try next; NULL once it was delivered or given up.
    Column("next_at", UtcDateTime),
    Column("delivered_at", UtcDateTime),
    Column("last_error", Text),
    Index("webhooks_next", "next_at"),
    Index("webhooks_job", "job_key"),
)
