"""The states of a job, and which may follow which and why."""

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


FINISHED = frozenset({State.SUCCEEDED, State.FAILED, State.TERMINATED})
"""States in which nothing happens any more unless somebody asks for it."""

UNDER_WAY = frozenset({State.RUNNING, State.PAUSING, State.TERMINATING})
"""States in which a job may have a run."""

SERVICE = "service"
"""Who, in a job's history, when the service changed its state by itself."""

RUN = "run"
"""Who, when its own run did."""

TRANSITIONS: dict[State, dict[State, str]] = {
    State.QUEUED: {
        State.RUNNING: "a slot was free",
        State.PAUSED: "paused before it began: nothing runs, so there is nothing to wait for",
        State.TERMINATING: "terminate was asked for",
    },
    State.RUNNING: {
        State.SUCCEEDED: "every item was done or refused",
        State.FAILED: "the job as a whole can't go on",
        State.PAUSING: "pause was asked for; the run has yet to see it",
        State.TERMINATING: "terminate was asked for; the run has yet to see it",
        State.INTERRUPTED: "the service stopped or died, lost the database, or had no room on its disk",
    },
    State.PAUSING: {
        State.PAUSED: "the run committed what it had done and stopped, or there was no run left to ask",
        State.SUCCEEDED: "the last item was already under way",
        State.FAILED: "the job as a whole can't go on",
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


class ForbiddenTransition(Exception):
    """A change of state that the table does not allow: a mistake in the service itself."""


def reason(before: State, after: State) -> str:
    """Why `before` may become `after`; raises ForbiddenTransition if it may not."""
    try:
        return TRANSITIONS[before][after]
    except KeyError:
        raise ForbiddenTransition(f"a {before} job can't become {after}") from None
