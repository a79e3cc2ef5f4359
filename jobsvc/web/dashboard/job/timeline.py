"""The history of a job as a line of time: what it became, when, by whom and why, and how long it stayed so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from jobsvc.jobs.states import ON_ITS_OWN
from jobsvc.web.dashboard.presenting import LOOKS, Look

UNKNOWN = Look("unknown", "circle", "calm")
"""A state that a later version has written."""


class Moment(NamedTuple):
    look: Look
    at: datetime
    who: str
    is_person: bool
    """Whether somebody has asked for it, and not the service itself."""
    why: str
    seconds: float | None
    """How long it stayed so; None: it still is."""


def timeline(events: Sequence[Mapping[Any, Any]]) -> list[Moment]:
    """Of events, the latest first, in the same order."""
    found = []
    until: datetime | None = None
    for event in events:
        seconds = None if until is None else max(0.0, (until - event["at"]).total_seconds())
        look = LOOKS.get(event["to"], UNKNOWN)
        who = event["who"]
        found.append(Moment(look, event["at"], who, who not in ON_ITS_OWN, event["why"], seconds))
        until = event["at"]
    return found
