"""What is asked before something can't be taken back, with how much would go, and the answers that there are."""

from __future__ import annotations

from typing import NamedTuple

from jobsvc.access.acts import Act
from jobsvc.access.errors import Forbidden
from jobsvc.jobs.errors import JobError
from jobsvc.jobs.job import Job
from jobsvc.web.access import authorized
from jobsvc.web.browsers.outcomes import OUTCOMES, Outcome
from jobsvc.web.dashboard.job.standing import items_of
from jobsvc.web.dashboard.presenting import counted, title
from jobsvc.web.dashboard.steering import ROLL_BACK, TERMINATE, can_roll_back
from jobsvc.web.services import services

APPLY_ICON = "play"


class Choice(NamedTuple):
    """One of the answers: a form of its own."""

    label: str
    icon: str
    endpoint: str
    """The route that it posts to."""
    outcome: Outcome | None
    """What is told of it where the job is; None: it leads elsewhere."""
    is_grave: bool = False
    rollback: bool = False
    """Whether it says so to the route."""


class Question(NamedTuple):
    title: str
    texts: tuple[str, ...]
    choices: tuple[Choice, ...]


def terminate(job: Job) -> Question:
    items = items_of(job, services().kinds)
    ask = f"Terminate {title(job)}?"
    keep = Choice("Terminate", TERMINATE.icon, "jobs.terminate", OUTCOMES[Act.TERMINATE], is_grave=True)
    stops = "It stops for good, and can't be resumed. To go on later, pause it."
    if not can_roll_back(job, services().kinds):
        return Question(ask, (stops,), (keep,))
    if not job.done and job.started_at is None:
        return Question(ask, (stops, "It has made nothing yet."), (keep,))
    more = "That can stay, and be rolled back later, or be removed now, with whatever is made until it stops."
    so_far = f"It has made {counted(job.done, items)} so far. {more}"
    label = f"Terminate and remove {counted(job.done, items)}"
    undo = Choice(label, ROLL_BACK.icon, "jobs.terminate", OUTCOMES[Act.ROLL_BACK], is_grave=True, rollback=True)
    keep = keep._replace(label="Only terminate", is_grave=False)
    return Question(ask, (stops, so_far), (keep, undo))


def roll_back(job: Job) -> Question:
    count = counted(job.done, items_of(job, services().kinds))
    text = f"{count} {'is' if job.done == 1 else 'are'} removed for good: all that it has made."
    if _has_file(job):
        text = "The file that it has made is removed. What the file was made of stays as it is."
        choice = Choice("Remove its file", ROLL_BACK.icon, "jobs.rollback", OUTCOMES[Act.ROLL_BACK], is_grave=True)
        return Question(f"Roll back {title(job)}?", (text,), (choice,))
    choice = Choice(f"Remove {count}", ROLL_BACK.icon, "jobs.rollback", OUTCOMES[Act.ROLL_BACK], is_grave=True)
    return Question(f"Roll back {title(job)}?", (text,), (choice,))


def _has_file(job: Job) -> bool:
    try:
        authorized().result(job)
    except (JobError, Forbidden):
        return False
    return True


def apply(job: Job) -> Question:
    count = counted(job.done, items_of(job, services().kinds))
    choice = Choice(f"Import {count}", APPLY_ICON, "checking.apply", None)
    if not job.applied_as:
        return Question(
            f"Import {title(job)}?", (f"A job is made of the same file, which imports {count}.",), (choice,)
        )
    times = len(job.applied_as)
    how_often = "It was applied already," if times == 1 else f"It was applied {times} times already, the latest time"
    texts = (
        f"{how_often} as {job.applied_as[-1]}.",
        f"Another one imports the same {count} once more, beside what is there.",
    )
    return Question(
        f"Import {title(job)} again?", texts, (choice._replace(label=f"Import {count} again", is_grave=True),)
    )
