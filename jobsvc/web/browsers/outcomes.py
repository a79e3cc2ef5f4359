"""What a page tells of an action that one of its buttons has asked for: the only such texts there are."""

from __future__ import annotations

from typing import NamedTuple

from jobsvc.access.acts import Act


class Outcome(NamedTuple):
    """`done`: it is so. `under_way`: it was asked for, and will be."""

    done: str
    under_way: str


OUTCOMES: dict[Act, Outcome] = {
    Act.SUBMIT: Outcome("The job was created.", "The job was created."),
    Act.PAUSE: Outcome("The job is paused.", "The job will pause as soon as the item under way is done."),
    Act.RESUME: Outcome("The job goes on as soon as a slot is free.", "The job will go on."),
    Act.TERMINATE: Outcome("The job is terminated.", "The job will end as soon as the item under way is done."),
    Act.ROLL_BACK: Outcome("The job is rolled back: nothing of it is left.", "The job is being rolled back."),
    Act.DELETE: Outcome("The job was deleted.", "The job was deleted."),
    Act.ASK_MANY: Outcome("It was asked of all those jobs.", "It is being asked of all those jobs."),
}

UNDER_WAY = ".under-way"
"""How the name of an outcome ends that is yet to come."""


def name(act: Act, *, is_done: bool) -> str:
    """The name of an outcome in an address: `?said=job.pause`."""
    return act if is_done else f"{act}{UNDER_WAY}"


def text(name: object) -> str | None:
    """The text with that name; None if there is none such."""
    if not isinstance(name, str):
        return None
    try:
        outcome = OUTCOMES[Act(name.removesuffix(UNDER_WAY))]
    except (KeyError, ValueError):
        return None
    return outcome.under_way if name.endswith(UNDER_WAY) else outcome.done
