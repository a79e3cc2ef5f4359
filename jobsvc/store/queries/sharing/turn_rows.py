"""Queries on turns: those of jobs, and `turns`, which says how far each priority has come."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, func, select, tuple_, update

from jobsvc.store.inserts.new import insert_new
from jobsvc.store.tables import jobs, turns

# Built once: each job that is queued, or begins, has them executed.
_REACHED = select(turns.c.reached).where(turns.c.priority == bindparam("wanted_priority"))
_REACH = update(turns).where(
    turns.c.priority == bindparam("wanted_priority"), turns.c.reached < bindparam("wanted_turn")
)
_LATEST = select(func.max(jobs.c.turn)).where(
    jobs.c.user == bindparam("wanted_user"), jobs.c.priority == bindparam("wanted_priority")
)


def reached(connection: Connection, priority: int) -> int:
    """The latest turn of which a job of that priority has begun; 0: none has."""
    return int(connection.execute(_REACHED, {"wanted_priority": priority}).scalar() or 0)


def reach(connection: Connection, priority: int, turn: int) -> None:
    """A job of that priority and that turn begins."""
    moved = connection.execute(_REACH, {"wanted_priority": priority, "wanted_turn": turn, "reached": turn}).rowcount
    if moved == 0 and turn > reached(connection, priority):
        insert_new(connection, turns, [{"priority": priority, "reached": turn}])


def latest(connection: Connection, user: str, priority: int) -> int:
    """The latest turn that a job of the user has, or had when it began; 0: none has any."""
    return int(connection.execute(_LATEST, {"wanted_user": user, "wanted_priority": priority}).scalar_one() or 0)


def count_ahead(connection: Connection, state: str, before: tuple[int, int, int], limit: int) -> int:
    """How many jobs in `state` come before that priority, turn and key; counted up to `limit`."""
    place = tuple_(jobs.c.priority, jobs.c.turn, jobs.c.key)
    ahead = select(jobs.c.key).where(jobs.c.state == state, place < before).limit(limit).subquery()
    return int(connection.execute(select(func.count()).select_from(ahead)).scalar_one())
