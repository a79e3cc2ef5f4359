"""A line of the audit that is to be written."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from jobsvc.access.acts import Act, Outcome


class Line(NamedTuple):
    """Its texts may be a client's: what is stored of them, `store/queries/callers/audit_rows.py` decides."""

    at: datetime
    action: Act
    outcome: Outcome
    target: str | None = None
    """The id of the job, the action or the key."""
    user: str | None = None
    """None: somebody who is not known, or the service itself."""
    role: str | None = None
    key_id: str | None = None
    """The key that was shown. Where nobody was let in, it may be anybody's."""
    address: str | None = None
    request_id: str | None = None
    status: int | None = None
    """Of the answer; None for what was written before there was one."""
    problem: str | None = None
    """The end of the problem's type, or the error type of the original's routes."""
    times: int = 1
    """How many requests alike it stands for."""
