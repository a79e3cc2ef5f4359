"""The states of a job: which may follow which and why, and whatever else follows from a state."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    INTERRUPTED = "interrupted"
    TERMINATING = "terminating"
    TERMINATED = "terminated"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


TRANSITIONS: dict[State, dict[State, str]] = {
    State.QUEUED: {
        State.RUNNING: "a slot was free",
        State.PAUSED: "paused before it began: nothing runs, so there is nothing to wait for",
        State.TERMINATING: "terminate was asked for",
    },
    State.RUNNING: {
        State.SUCCEEDED: "every item was done or refused",
        State.FAILED: "the run broke off with an error, or too many of its items were refused, or all",
        State.PAUSING: "pause was asked for; the run has yet to see it",
        State.TERMINATING: "terminate was asked for; the run has yet to see it",
        State.INTERRUPTED: "the service stopped or died, lost the database, or had no room on its disk",
        State.QUEUED: "it gave its slot to a job of a higher priority; it goes on at its cursor when there is room",
    },
    State.PAUSING: {
        State.PAUSED: "the run committed what it had done and stopped, or there was no run left to ask",
        State.SUCCEEDED: "the pause came after the last items were committed: nothing was left to pause",
        State.FAILED: "the run broke off with an error, or too many of its items were refused, or all",
        State.TERMINATING: "terminate was asked for while it was pausing",
    },
    State.PAUSED: {
        State.QUEUED: "resume was asked for",
        State.TERMINATING: "terminate was asked for",
    },
    State.INTERRUPTED: {
        State.QUEUED: "the service started again, the job goes on when there is room, or resume was asked for",
        State.PAUSED: "paused while nothing ran",
        State.TERMINATING: "terminate was asked for",
    },
    State.TERMINATING: {
        State.TERMINATED: "the run stopped, or there was none",
    },
    State.SUCCEEDED: {
        State.TERMINATING: "rollback was asked for afterwards",
    },
    State.FAILED: {
        State.QUEUED: "resume was asked for: it goes on at its cursor",
        State.TERMINATING: "rollback was asked for afterwards",
    },
    State.TERMINATED: {
        State.TERMINATING: "rollback was asked for afterwards",
    },
}


OBEYED = {State.PAUSING: State.PAUSED, State.TERMINATING: State.TERMINATED}
"""Where a job goes that was asked to stop: once its run has stopped, or at once if it has none."""

ASKED_BY = {State.PAUSING: "pause", State.TERMINATING: "terminate"}
"""What is asked of a job that is on its way there; in what is measured."""

STOPPING = frozenset(OBEYED)
"""States of a job that is still on its way to where it was sent."""

HELD = frozenset({State.PAUSING, State.PAUSED})
"""States in which a job waits for somebody to resume it, or soon will."""

LEFT_BEHIND = {State.RUNNING: State.INTERRUPTED, **OBEYED}
"""Where a job goes whose run has ended without a word."""

UNDER_WAY = frozenset(LEFT_BEHIND)
"""States in which a job may have a run."""

FINISHED = frozenset({State.SUCCEEDED, State.FAILED, State.TERMINATED})
"""States in which nothing happens any more unless somebody asks for it."""

RAN_TO_ITS_END = FINISHED - {State.TERMINATED}
"""States of a job that was over before anybody could stop it."""

STANDING_STILL = frozenset(State) - UNDER_WAY - {State.QUEUED}
"""States in which the cursor stays where it is."""

WITHOUT_OUTPUT = frozenset({State.TERMINATING, State.TERMINATED})
"""States of a job whose output is removed, or soon will be."""

HOOKS = {
    State.PAUSED: "on_pause",
    State.SUCCEEDED: "on_success",
    State.FAILED: "on_failure",
    State.TERMINATED: "on_terminate",
}
"""Which hook of its kind is called when a job that has begun comes to a state, or when any job is terminated."""

TOLD = frozenset(HOOKS)
"""States that a client with a callback URL is told of: the same."""


class Action(StrEnum):
    """What a client may ask of a job, in the words in which it is refused: a job can't be …"""

    PAUSE = "paused"
    RESUME = "resumed"
    TERMINATE = "terminated"
    ROLL_BACK = "rolled back before it is terminated"
    TERMINATE_AND_ROLL_BACK = "terminated and rolled back"

    @property
    def moves(self) -> dict[State, State | None]:
        """Its line of `MOVES`."""
        return MOVES[self]


MOVES: dict[Action, dict[State, State | None]] = {
    Action.PAUSE: {
        State.QUEUED: State.PAUSED,
        State.RUNNING: State.PAUSING,
        State.INTERRUPTED: State.PAUSED,
        State.PAUSING: None,
        State.PAUSED: None,
    },
    Action.RESUME: {
        State.PAUSED: State.QUEUED,
        State.INTERRUPTED: State.QUEUED,
        State.FAILED: State.QUEUED,
        State.QUEUED: None,
        State.RUNNING: None,
    },
    Action.TERMINATE: {
        State.QUEUED: State.TERMINATING,
        State.RUNNING: State.TERMINATING,
        State.PAUSING: State.TERMINATING,
        State.PAUSED: State.TERMINATING,
        State.INTERRUPTED: State.TERMINATING,
        State.TERMINATING: None,
        State.TERMINATED: None,
    },
    Action.ROLL_BACK: {
        State.SUCCEEDED: State.TERMINATING,
        State.FAILED: State.TERMINATING,
        State.TERMINATED: State.TERMINATING,
        State.TERMINATING: None,
    },
}
"""Where an action takes a job, by its state; the table of transitions says why. None: it is there, or on its way.

In any other state the action is refused.
"""
MOVES[Action.TERMINATE_AND_ROLL_BACK] = MOVES[Action.TERMINATE] | MOVES[Action.ROLL_BACK]


ONLY_IF_NAMED: dict[Action, frozenset[State]] = {
    Action.RESUME: frozenset({State.FAILED}),
    Action.TERMINATE_AND_ROLL_BACK: FINISHED,
}
"""States whose jobs an action on many jobs leaves alone unless its filter names the state.

Who fills the service again does not mean what failed last month, and who ends everything not what is done.
"""


def acted_on(action: Action) -> frozenset[State]:
    """The states of the jobs for which an action on many jobs has something to do, or may have."""
    found = {state for state, after in MOVES[action].items() if after is not None}
    if action is Action.RESUME:
        found.add(State.PAUSING)
    if State.TERMINATING in MOVES[action] and State.SUCCEEDED in MOVES[action]:
        # One that is terminating can still be told to roll back.
        found.add(State.TERMINATING)
    return frozenset(found)


def loses_turn(before: State, after: State) -> bool:
    """Whether the turn that a job had is no longer its: it is queued anew, or leaves the queue without having begun."""
    return State.QUEUED in (before, after) and after is not State.RUNNING


class Rollback(StrEnum):
    """Where a rollback that was asked for stands, of a job that is terminating."""

    WANTED = "wanted"
    RUNNING = "running"


ENGINE = "engine"
"""An actor in a job's history: an engine has begun it."""

RUN = "run"
"""An actor: its own run, or rollback, has changed its state."""

SERVICE = "service"
"""An actor: the service has done so by itself. Any other actor is a user."""

ON_ITS_OWN = frozenset({ENGINE, RUN, SERVICE})
"""Actors whose changes of a state are lines of the job's log, too: what users ask for is in its history alone."""

LOGGED_AS = {State.FAILED: "error", State.INTERRUPTED: "warning"}
"""The level of such a line, where it is not `info`."""


class ForbiddenTransition(Exception):
    """A change of state that the table does not allow: a mistake in the service itself."""


def reason(before: State, after: State) -> str:
    """Why `before` may become `after`; raises ForbiddenTransition if it may not."""
    try:
        return TRANSITIONS[before][after]
    except KeyError:
        raise ForbiddenTransition(f"a {before} job can't become {after}") from None
