"""An action on many jobs: the same request to every job that a filter finds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from sqlalchemy import RowMapping

from jobsvc.identifiers import ActionKey, JobKey
from jobsvc.jobs.states import ONLY_IF_NAMED, Action, State, acted_on

IDS_SHOWN = 10
"""Of the jobs that were passed over for one reason, the ids of so many are kept."""


ANY = "any"
WITH_TEXT = " with text"
"""What is stored of a filter beside names of states."""


class Verb(StrEnum):
    """What a client may ask of many jobs, as it says it."""

    PAUSE = "pause"
    RESUME = "resume"
    TERMINATE = "terminate"
    ROLL_BACK = "rollback"


_ACTIONS = {
    Verb.PAUSE: Action.PAUSE,
    Verb.RESUME: Action.RESUME,
    Verb.TERMINATE: Action.TERMINATE,
    Verb.ROLL_BACK: Action.ROLL_BACK,
}


@dataclass(frozen=True, slots=True)
class Filter:
    """Which jobs; None: whatever it is. `paused_by` is an action's id: the jobs that it has paused."""

    states: tuple[State, ...] = ()
    """None of them: any."""
    kind: str | None = None
    user: str | None = None
    text: str | None = None
    """A part of the id, or of the file's name."""
    paused_by: str | None = None
    owner: str | None = None
    """The user whose jobs alone are there for whoever asks; None: everybody's are."""

    @property
    def state(self) -> str | None:
        """The states, as clients say them."""
        return ",".join(self.states) or None

    def stored(self) -> dict[str, Any]:
        """As JSON, without the owner.

        A process of an older version, during an upgrade, knows no text and one state at most:
        it must fail to read what it would take for more jobs than are meant.
        """
        named = {"kind": self.kind, "user": self.user, "text": self.text, "paused_by": self.paused_by}
        return {"state": self.state if self.text is None else f"{self.state or ANY}{WITH_TEXT}", **named}

    @classmethod
    def read(cls, stored: Mapping[str, Any], owner: str | None) -> Self:
        names = (stored["state"] or ANY).removesuffix(WITH_TEXT)
        states = () if names == ANY else tuple(map(State, names.split(",")))
        return cls(states, stored["kind"], stored["user"], stored.get("text"), stored["paused_by"], owner)


@dataclass(frozen=True, slots=True)
class Demand:
    """What is asked of the jobs that a filter finds."""

    verb: Verb
    filter: Filter
    rollback: bool = False
    """Of jobs that are to be terminated: whether they are to be rolled back too."""

    @property
    def action(self) -> Action:
        return Action.TERMINATE_AND_ROLL_BACK if self.rollback else _ACTIONS[self.verb]

    @property
    def rolls_back(self) -> bool:
        return self.rollback or self.verb is Verb.ROLL_BACK

    def acted_on(self) -> frozenset[State]:
        """The states of the jobs that it has something to do for, or may have."""
        return acted_on(self.action) - (ONLY_IF_NAMED.get(self.action, frozenset()) - set(self.filter.states))

    def why_not(self, state: str) -> str | None:
        """Why a job in another state is passed over; None: it is where the action would take it, or on its way."""
        if state in acted_on(self.action):
            return f"it is {state}: it is {self.action} only where the filter says state={state}"
        if state in self.action.moves:
            return None
        return not_allowed(state, self.action)


def not_allowed(state: str, action: str) -> str:
    return f"it is {state}: it can't be {action}"


@dataclass(frozen=True)
class PassedOver:
    """For one reason: how many jobs, and the ids of the first of them."""

    count: int
    ids: tuple[str, ...]


class Skipped(dict[str, PassedOver]):
    """The jobs that were passed over, by reason."""

    def note(self, why: str, ids: Iterable[str], count: int = 1) -> None:
        before = self.get(why, PassedOver(0, ()))
        self[why] = PassedOver(before.count + count, (*before.ids, *ids)[:IDS_SHOWN])

    @property
    def total(self) -> int:
        return sum(passed.count for passed in self.values())

    def stored(self) -> dict[str, Any]:
        """As JSON."""
        return {why: {"count": passed.count, "jobs": list(passed.ids)} for why, passed in self.items()}

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Self:
        return cls({why: PassedOver(found["count"], tuple(found["jobs"])) for why, found in stored.items()})


@dataclass(frozen=True)
class Preview:
    """What an action would do now; `ids` are those of the oldest jobs that it would act on."""

    found: int
    would_do: int
    already: int
    skipped: Skipped
    ids: list[str]


@dataclass(frozen=True, slots=True)
class BulkAction:
    """One row of `actions`, and how many jobs are `stopping` for it.

    `found` jobs were found: `done` of them were asked, `already` were there or on their
    way, some were `skipped`. It is None until the action's turn has come.
    """

    key: ActionKey
    id: str
    demand: Demand
    user: str
    paused_by: ActionKey | None
    up_to: JobKey
    created_at: datetime
    begun_at: datetime | None
    finished_at: datetime | None
    found: int | None
    done: int
    already: int
    skipped: Skipped
    fingerprint: str | None
    stopping: int = 0
    """How many jobs that it has asked to stop have yet to obey."""

    @classmethod
    def from_row(cls, row: RowMapping, stopping: int = 0) -> Self:
        return cls(
            key=row["key"],
            id=row["id"],
            demand=Demand(Verb(row["verb"]), Filter.read(row["filter"], row["owner"]), row["rollback"]),
            user=row["user"],
            paused_by=row["paused_by"],
            up_to=row["up_to"],
            created_at=row["created_at"],
            begun_at=row["begun_at"],
            finished_at=row["finished_at"],
            found=None if row["begun_at"] is None else row["found"],
            done=row["done"],
            already=row["already"],
            skipped=Skipped.read(row["skipped"]),
            fingerprint=row["fingerprint"],
            stopping=stopping,
        )

    @property
    def left(self) -> int | None:
        """How many of the jobs it has yet to come to."""
        return None if self.found is None else self.found - self.done - self.already - self.skipped.total

    @property
    def is_over(self) -> bool:
        """Whether all is done, and every job that it has stopped stands still."""
        return self.finished_at is not None and not self.stopping
