"""How values look on pages: numbers, rates, times, states. All that a page shows of a user's own goes in as it is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from markupsafe import Markup, escape

from jobsvc.jobs.job import Job
from jobsvc.jobs.representation import moment
from jobsvc.jobs.states import State
from jobsvc.web.dashboard.charting import ROOM_ABOVE, points

NOTHING = "\N{EN DASH}"
"""What stands where there is no value."""

NEVER_SECONDS = 100 * 24 * 3600
"""An estimate beyond that says nothing."""


class Look(NamedTuple):
    """How a state looks: a word and an icon, so that nobody has to know colours apart."""

    word: str
    icon: str
    tone: str
    """The name of its colours in the styles."""


LOOKS: dict[str, Look] = {
    "queued": Look("queued", "clock", "calm"),
    "running": Look("running", "circle-play", "busy"),
    "pausing": Look("pausing", "hourglass", "wait"),
    "paused": Look("paused", "circle-pause", "wait"),
    "interrupted": Look("interrupted", "zap", "wait"),
    "terminating": Look("terminating", "hourglass", "bad"),
    "terminated": Look("terminated", "circle-stop", "calm"),
    "succeeded": Look("succeeded", "circle-check", "good"),
    "failed": Look("failed", "circle-x", "bad"),
}
"""By state."""

ROLLING_BACK = Look("rolling back", "undo-2", "bad")
ROLLED_BACK = Look("rolled back", "undo-2", "calm")


def look(job: Job) -> Look:
    """How the state of a job looks."""
    if job.state is State.TERMINATING and job.rollback is not None:
        return ROLLING_BACK
    if job.state is State.TERMINATED and job.rolled_back:
        return ROLLED_BACK
    return LOOKS[job.state]


def number(value: float | None) -> str:
    """A whole number, in groups of three."""
    return NOTHING if value is None else f"{value:,.0f}"


def counted(count: int, items: str) -> str:
    """So many items, in words: `1 row`, `12,000 rows`."""
    return f"{number(count)} {items.removesuffix('s') if count == 1 else items}"


def rate(value: float | None) -> str:
    """Items per second."""
    if value is None:
        return NOTHING
    return f"{value:,.0f}/s" if value >= 10 else f"{value:.1f}/s"


def duration(seconds: float | None) -> str:
    """So many seconds, in the two largest units that say something."""
    if seconds is None or not 0 <= seconds <= NEVER_SECONDS:
        return NOTHING
    whole = round(seconds)
    for unit, below, size, smaller in (("d", "h", 86400, 3600), ("h", "min", 3600, 60), ("min", "s", 60, 1)):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit}" + (f" {rest} {below}" if rest else "")
    return f"{whole} s"


def size(count: float | None) -> str:
    """So many bytes."""
    if count is None:
        return NOTHING
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if abs(count) < 1024 or unit == "GiB":
            break
        count /= 1024
    if unit == "bytes" or count >= 100:
        return f"{count:,.0f} {unit}"
    return f"{count:,.1f}".removesuffix(".0") + f" {unit}"


def time(at: datetime | None) -> Markup:
    """A moment, in UTC; the pages' script puts it into the zone of whoever looks."""
    if at is None:
        return escape(NOTHING)
    utc = at.astimezone(UTC)
    return Markup('<time datetime="{}" title="{} UTC">{} UTC</time>').format(
        moment(at), f"{utc:%Y-%m-%d %H:%M:%S}", f"{utc:%Y-%m-%d %H:%M}"
    )


def said_at(text: str | None) -> Markup:
    """A moment as `representation.moment` writes it."""
    return time(None if text is None else datetime.fromisoformat(text))


def sentence(text: object) -> str:
    """What the service says of a job, as a sentence."""
    said = str(text)
    return f"{said[:1].upper()}{said[1:]}{'' if said[-1:] in ('.', '!', '?', '…') else '.'}"


def users_text(value: object) -> Markup:
    """A text that somebody else has chosen: it may be long, or run from right to left."""
    return Markup('<bdi class="text">{}</bdi>').format(escape(value))


SPARK_WIDTH, SPARK_HEIGHT = 120, 24
"""Of the box in which a small line is drawn."""


def spark(values: Sequence[float]) -> str:
    """The points of a small line that shows how values went, for `<polyline>`; the highest comes near the top."""
    if len(values) < 2:
        return ""
    return points(values, width=SPARK_WIDTH, height=SPARK_HEIGHT, top=max(*values, 0.001) * ROOM_ABOVE)


TITLE_CHARACTERS = 120


def title(job: Job) -> str:
    """What people call a job: its file, or what it was asked for; its id where there is nothing better."""
    if job.filename:
        return job.filename
    said = ", ".join(f"{name} {value}" for name, value in job.params.items() if isinstance(value, str | int) and value)
    return said[:TITLE_CHARACTERS] or job.id


FILTERS = {
    "number": number,
    "counted": counted,
    "rate": rate,
    "duration": duration,
    "size": size,
    "time": time,
    "said_at": said_at,
    "sentence": sentence,
    "users_text": users_text,
    "look": look,
    "job_title": title,
    "spark": spark,
}
"""For templates, by name."""
