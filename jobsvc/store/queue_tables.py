"""What queries here read of Procrastinate's tables, which it alone writes, and of PostgreSQL's own."""

from __future__ import annotations

from sqlalchemy import BigInteger, DateTime, Integer, Text, cast, column, table

entries = table("procrastinate_jobs", column("id", BigInteger), column("status", Text), column("worker_id", BigInteger))
live_workers = table(
    "procrastinate_workers", column("id", BigInteger), column("last_heartbeat", DateTime(timezone=True))
)
activity = table("pg_stat_activity", column("pid", Integer), column("application_name", Text))

status = cast(entries.c.status, Text)
"""PostgreSQL compares its enumeration with text only as text."""
