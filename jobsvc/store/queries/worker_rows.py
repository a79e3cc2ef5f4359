"""Queries on `workers`: what the processes of the fleet have at work, as long as Procrastinate knows them.

A process is known by its `session`, and seen through its worker for runs.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, RowMapping, Select, delete, exists, func, insert, or_, select, text, union

from jobsvc.identifiers import Purpose
from jobsvc.store.locks.process_lock import MAX_NAME_BYTES
from jobsvc.store.postgresql.queue_tables import entries, live_workers, status
from jobsvc.store.queries.job_rows import JOB
from jobsvc.store.tables import jobs, workers


def session_name(role: str) -> str:
    """What a process of the fleet calls its sessions: `role` is web or worker."""
    name = f"jobsvc {role} {secrets.token_hex(8)} {socket.gethostname()}"
    return name.encode()[:MAX_NAME_BYTES].decode(errors="ignore")


_SESSIONS = "^jobsvc (web|worker) "
"""How the names of sessions begin, as a regular expression."""


def add(connection: Connection, values: Mapping[str, Any]) -> None:
    """A worker has begun: id, purpose, name, host, pid, queues, concurrency, started_at, session."""
    connection.execute(insert(workers).values(**values))


def server_started_within(connection: Connection, ago: timedelta) -> bool:
    return connection.execute(select(func.pg_postmaster_start_time() >= func.now() - ago)).scalar_one()


def lost(connection: Connection, ago: timedelta) -> Sequence[int]:
    """The workers that had no heartbeat within that time, or that Procrastinate does not know any more."""
    stalled = select(live_workers.c.id).where(live_workers.c.last_heartbeat < func.now() - ago)
    gone = select(workers.c.id).where(~exists().where(live_workers.c.id == workers.c.id))
    return connection.execute(union(stalled, gone)).scalars().all()


_END_SESSIONS = text(
    """
    WITH alive AS (SELECT session FROM workers WHERE id <> ALL (:lost)),
    frozen AS (
        SELECT pid, usesysid FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()
          AND application_name NOT IN (SELECT session FROM alive)
          AND (
            application_name IN (SELECT session FROM workers)
            OR (
              application_name ~ :sessions
              AND state_change < clock_timestamp() - CAST(:ago AS interval)
              AND (
                starts_with(state, 'idle in transaction')
                OR (state = 'active' AND backend_xid IS NOT NULL AND wait_event IN ('ClientRead', 'ClientWrite'))
              )
            )
          )
    ),
    allowed AS (
        SELECT oid FROM pg_roles
        WHERE pg_has_role(oid, 'USAGE') OR (NOT rolsuper AND pg_has_role('pg_signal_backend', 'USAGE'))
    )
    SELECT CASE WHEN usesysid IN (SELECT oid FROM allowed) THEN pg_terminate_backend(pid) ELSE false END AS ended
    FROM frozen
    """
)


class EndedSessions(NamedTuple):
    """How many sessions were ended, and how many this role may not end."""

    ended: int
    kept: int


def end_sessions(connection: Connection, lost: Sequence[int], ago: timedelta) -> EndedSessions:
    """End the sessions of workers that are lost, and of processes that are frozen within a transaction.

    Either would hold its locks for as long as it is frozen. A process keeps its
    sessions if one of its workers is alive. A process without workers, such as a web
    server, counts as frozen if it has changed something, or holds a lock, and has been
    silent for that time.
    """
    values = {"lost": list(lost), "ago": ago, "sessions": _SESSIONS}
    ended = connection.execute(_END_SESSIONS, values).scalars().all()
    return EndedSessions(ended=sum(ended), kept=len(ended) - sum(ended))


def give_up(connection: Connection, lost: Sequence[int]) -> Sequence[RowMapping]:
    """Forget workers, and remove the entries of the queue that they, or nobody, had at work: returns id and task_name.

    Procrastinate sets an entry's worker to NULL when it forgets one.
    """
    orphaned = or_(entries.c.worker_id.in_(lost), entries.c.worker_id.is_(None))
    gone = delete(entries).where(status == "doing", orphaned).returning(entries.c.id, entries.c.task_name)
    removed = connection.execute(gone).mappings().all()
    connection.execute(delete(live_workers).where(live_workers.c.id.in_(lost)))
    connection.execute(delete(workers).where(workers.c.id.in_(lost)))
    return removed


def present(connection: Connection) -> Sequence[RowMapping]:
    """The processes, the oldest first, each with its last_heartbeat."""
    query = select(workers, live_workers.c.last_heartbeat).join(live_workers, live_workers.c.id == workers.c.id)
    query = query.where(workers.c.purpose == Purpose.RUNS).order_by(workers.c.started_at, workers.c.id)
    return connection.execute(query).mappings().all()


def count_since(connection: Connection, ago: timedelta) -> int:
    """How many processes had a heartbeat within that time."""
    return int(connection.execute(_alive(select(func.count()), ago)).scalar_one())


def slots_since(connection: Connection, ago: timedelta) -> int:
    """How many jobs the processes run at a time that had a heartbeat within that time."""
    query = select(func.coalesce(func.sum(workers.c.concurrency), 0))
    return int(connection.execute(_alive(query, ago)).scalar_one())


def count_under_way(connection: Connection, ago: timedelta) -> int:
    """How many jobs they have at work."""
    query = _alive(select(func.count()), ago).join(entries, entries.c.worker_id == workers.c.id)
    return int(connection.execute(query.where(status == "doing")).scalar_one())


def _alive(query: Select[Any], ago: timedelta) -> Select[Any]:
    """Of the workers that run jobs, those that had a heartbeat within that time."""
    query = query.select_from(workers).join(live_workers, live_workers.c.id == workers.c.id)
    return query.where(workers.c.purpose == Purpose.RUNS, live_workers.c.last_heartbeat >= func.now() - ago)


def under_way(connection: Connection) -> Sequence[RowMapping]:
    """The jobs that the processes have at work, oldest first, each with their `session` and the worker's `purpose`."""
    query = (
        select(workers.c.session, workers.c.purpose, *JOB)
        .join(jobs, jobs.c.queue_entry == entries.c.id)
        .join(workers, workers.c.id == entries.c.worker_id)
        .where(status == "doing")
        .order_by(jobs.c.key)
    )
    return connection.execute(query).mappings().all()
