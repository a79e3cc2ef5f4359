"""The line of a change, in the transaction of the change: one is never there without the other."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from jobsvc.access import trail
from jobsvc.access.acts import Act, Outcome
from jobsvc.access.audit_line import Line
from jobsvc.access.caller import Caller
from jobsvc.jobs.states import Action
from jobsvc.logs.about import request_id
from jobsvc.store.queries.callers import audit_rows

OF_ACTION = {
    Action.PAUSE: Act.PAUSE,
    Action.RESUME: Act.RESUME,
    Action.TERMINATE: Act.TERMINATE,
    Action.ROLL_BACK: Act.ROLL_BACK,
    Action.TERMINATE_AND_ROLL_BACK: Act.ROLL_BACK,
}
"""What the audit calls that which is asked of one job."""


def note(connection: Connection, act: Act, target: str, *, by: str, at: datetime, already: bool = False) -> None:
    """Note what `by`, a user or an operator at the command line, has done. `already`: it was so before.

    Where it was done from is known if the thread works for a request of that user.
    """
    found = trail.current()
    line = Line(at, act, Outcome.ALREADY if already else Outcome.DONE, target, user=by, request_id=request_id())
    if found is not None and found.caller.user == by:
        line = line._replace(role=found.caller.role, key_id=found.caller.key_id, address=found.address)
        found.noted = True
    audit_rows.add(connection, [line])


def note_session(connection: Connection, act: Act, caller: Caller, *, address: str | None, at: datetime) -> None:
    """Note that `caller` has logged in or out with a browser."""
    line = Line(at, act, Outcome.DONE, None, caller.user, caller.role, caller.key_id, address, request_id())
    audit_rows.add(connection, [line])
