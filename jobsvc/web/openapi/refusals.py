"""With which problems a route may refuse: its own, and those of any route."""

from __future__ import annotations

from collections.abc import Iterable

from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, RequestHeaderFieldsTooLarge

from jobsvc.jobs.errors import InvalidParameter, TooManyRequests
from jobsvc.web import problems
from jobsvc.web.access import NO_KEY, NOT_BY_SESSION, NOT_YOURS, OTHER_SITE
from jobsvc.web.browsers.local_only import LOCAL_ONLY
from jobsvc.web.openapi.answers import Answers
from jobsvc.web.problems import Told, told

TOO_MANY_TRANSFERS = Told(503, "too-many-transfers", "Too many uploads and downloads")
"""Told by the server itself: see `process/http/transfer_slots.py`."""

HEADER_TOO_LARGE = Told(431, "header-too-large", told(RequestHeaderFieldsTooLarge).title)
"""The same: see `process/http/answer.py`."""

ANYWHERE = (
    told(InvalidParameter),
    told(BadRequest),
    problems.MALFORMED,
    problems.INCOMPLETE,
    problems.NOT_STORABLE,
    NO_KEY,
    NOT_YOURS,
    OTHER_SITE,
    NOT_BY_SESSION,
    LOCAL_ONLY,
    told(TooManyRequests),
    problems.TIMED_OUT,
    told(RequestEntityTooLarge),
    HEADER_TOO_LARGE,
    problems.ENDING,
    problems.DOWN,
    problems.BUSY,
    problems.CONFLICT,
    problems.FILES_AWAY,
    TOO_MANY_TRANSFERS,
    problems.NO_ROOM_LEFT,
)
"""What any route may answer: no mistake of the service is among it."""


def by_status(all_told: Iterable[Told]) -> dict[int, list[Told]]:
    found: dict[int, list[Told]] = {}
    for one in all_told:
        found.setdefault(one.status, []).append(one)
    return found


def of_route(answers: Answers) -> dict[int, list[Told]]:
    """The problems that a route may answer, by status; those of its own come first."""
    own = [told(error) for error in answers.refusals]
    return by_status(dict.fromkeys([*own, *ANYWHERE]))
