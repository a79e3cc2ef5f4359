"""For whom a thread works, and from where that was asked: what each line of the audit has.

A trail belongs to the thread that answers a request, and ends with it. A thread without
one works for the service itself, or for a command of an operator.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

from jobsvc.access.caller import Caller


@dataclass
class Trail:
    """What the audit needs to know of one request. For the request's own thread."""

    caller: Caller
    address: str | None
    """Of the client, as the server knows it; None over a Unix socket."""
    let_in: bool = True
    """False: another site's page, or a link, has sent it with the caller's session."""
    noted: bool = False
    """Whether what was asked has its line, in the transaction of the change."""
    foreign: str | None = None
    """The id of another user's job or action that was asked for, and is not there for this caller."""


_current: ContextVar[Trail | None] = ContextVar("jobsvc_trail", default=None)


def begin(trail: Trail) -> None:
    _current.set(trail)


def end() -> None:
    _current.set(None)


def current() -> Trail | None:
    """That of the caller's thread, if it works for a request whose sender is known."""
    return _current.get()


def note_foreign(thing_id: str) -> None:
    """The request asks for what belongs to another user."""
    found = _current.get()
    if found is not None:
        found.foreign = thing_id
