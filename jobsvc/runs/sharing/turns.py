"""The turns of jobs: users share the slots, however many jobs each of them has.

Within a priority, queued jobs go in the order of their turns, and of their keys where turns are equal. A job gets
its turn when somebody has it queued: the one after the latest that its user has; a user who has had none for a
while comes in where the others are. So each user has one job to a turn. That is start-time fair queueing (Goyal,
Vin and Cheng, 1996) with items of equal cost; a job's turn never has to be changed because others come or go.
"""

from __future__ import annotations

from sqlalchemy import Connection

from jobsvc.identifiers import Priority
from jobsvc.store.queries.sharing import turn_rows

FIRST = 1


def next_turn(connection: Connection, user: str, priority: Priority) -> int:
    """The turn of a job of that user that is about to be queued.

    On PostgreSQL two that are queued at the same moment may get the same one.
    """
    own = turn_rows.latest(connection, user, priority) + 1
    return max(FIRST, own, turn_rows.reached(connection, priority))
