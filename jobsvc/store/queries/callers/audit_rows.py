"""Queries on `audit`: who did what. Lines are added and, when their time is over, removed; none is changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, RowMapping, delete, func, insert, select

from jobsvc.access.audit_line import Line
from jobsvc.access.key_text import without_secrets
from jobsvc.store.tables import audit

MAX_CHARACTERS = 200
"""So much is kept of a text that a client has sent. An id is shorter."""

_INSERT = insert(audit)
"""Built once: each change executes it."""


def storable(text: str | None) -> str | None:
    """What is kept of a text that a client has sent: what fits, without keys, and without what no database takes."""
    if text is None:
        return None
    text = without_secrets(text)
    kept = text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}…"
    return kept if kept.isascii() else kept.encode("utf-8", "backslashreplace").decode()


def add(connection: Connection, lines: Sequence[Line]) -> None:
    connection.execute(_INSERT, [_row(line) for line in lines])


def _row(line: Line) -> dict[str, object]:
    sent = {name: storable(getattr(line, name)) for name in ("target", "key_id", "address", "request_id", "problem")}
    return {**line._asdict(), **sent}


def page(
    connection: Connection,
    *,
    limit: int,
    after: int | None,
    user: str | None,
    action: str | None,
    target: str | None,
) -> Sequence[RowMapping]:
    """Lines, newest first, below the id `after`."""
    named = [
        column == wanted
        for column, wanted in ((audit.c.user, user), (audit.c.action, action), (audit.c.target, target))
        if wanted is not None
    ]
    if after is not None:
        named.append(audit.c.id < after)
    return connection.execute(select(audit).where(*named).order_by(audit.c.id.desc()).limit(limit)).mappings().all()


def count_before(connection: Connection, at: datetime) -> int:
    return connection.execute(select(func.count()).where(audit.c.at < at)).scalar_one()


def remove_before(connection: Connection, at: datetime, limit: int) -> int:
    """Remove up to `limit` lines that are older; returns how many."""
    some = select(audit.c.id).where(audit.c.at < at).order_by(audit.c.at).limit(limit)
    return connection.execute(delete(audit).where(audit.c.id.in_(some))).rowcount
