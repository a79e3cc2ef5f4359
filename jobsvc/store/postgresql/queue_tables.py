"""Procrastinate's tables, as far as queries here need them. It alone writes them, except for what a lost worker
leaves."""

from __future__ import annotations

from sqlalchemy import BigInteger, DateTime, Text, cast, column, table

entries = table(
    "procrastinate_jobs",
    column("id", BigInteger),
    column("status", Text),
    column("worker_id", BigInteger),
    column("task_name", Text),
)
live_workers = table(
    "procrastinate_workers", column("id", BigInteger), column("last_heartbeat", DateTime(timezone=True))
)

status = cast(entries.c.status, Text)
"""PostgreSQL compares its enumeration with text only as text."""
