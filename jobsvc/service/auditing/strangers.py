"""Requests that were not let in: a line for each, but so few a minute that nobody without a key can fill a disk.

The first of those that are alike in a minute has a line at once, the others one together
when the minute is over. Beyond so many different ones, all others have one line together.
"""

from __future__ import annotations

from jobsvc.access.acts import Act, Outcome
from jobsvc.access.audit_line import Line

MINUTE_SECONDS = 60.0

MAX_DIFFERENT = 10
"""So many different ones have lines of their own in a minute: 21 lines a minute at most."""


class Strangers:
    """For the recorder, whose lock guards it. Moments are in seconds, of any clock."""

    def __init__(self) -> None:
        self._began: float | None = None
        """When the minute began; None: nobody has come since the last one."""
        self._alike: dict[tuple[object, ...], Line] = {}
        """The latest of each, with how many came after the first."""
        self._others: Line | None = None

    def note(self, line: Line, moment: float) -> list[Line]:
        """Returns the lines that are to be written now."""
        due = self.due(moment)
        if self._began is None:
            self._began = moment
        alike = (line.address, line.user, line.key_id, line.action, line.status, line.problem)
        before = self._alike.get(alike)
        if before is not None:
            self._alike[alike] = line._replace(times=before.times + 1)
        elif len(self._alike) < MAX_DIFFERENT:
            self._alike[alike] = line._replace(times=0)
            due.append(line)
        else:
            times = self._others.times + 1 if self._others else 1
            self._others = Line(line.at, Act.ENTER, Outcome.REFUSED, times=times)
        return due

    def left(self, moment: float) -> float | None:
        """Seconds until the minute is over; None if none has begun."""
        return None if self._began is None else max(0.0, self._began + MINUTE_SECONDS - moment)

    def due(self, moment: float) -> list[Line]:
        """The lines of a minute that is over."""
        return self.end() if self.left(moment) == 0.0 else []

    def end(self) -> list[Line]:
        """End the minute now. Returns its lines for those that were only counted."""
        counted = [line._replace(request_id=None, target=None) for line in self._alike.values() if line.times]
        if self._others is not None:
            counted.append(self._others)
        self._began, self._alike, self._others = None, {}, None
        return counted
