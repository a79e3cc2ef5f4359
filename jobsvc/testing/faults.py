"""Disturbing a run at an exact point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NoReturn


class Killed(BaseException):
    """The process dies here. What catches it can do nothing more: the database refuses whatever comes then."""


class What(StrEnum):
    """What happens; the text goes on with a number."""

    NOTHING = "undisturbed"
    PAUSE = "paused at the look before item"
    SHUTDOWN = "the service stopped, at the look before item"
    KILL_AT_LOOK = "killed right before item"
    KILL_AFTER_ITEM = "killed right after item"
    KILL_BEFORE_COMMIT = "killed right before the commit of checkpoint"
    KILL_AFTER_COMMIT = "killed right after the commit of checkpoint"
    KILL_AFTER_FINISH = "killed between finish() and success, after checkpoint"
    STOP_UNDO = "rolled back, with the service stopped after batch"
    KILL_BEFORE_UNDO_COMMIT = "rolled back, and killed right before the commit of batch"
    KILL_AFTER_UNDO_COMMIT = "rolled back, and killed right after the commit of batch"


@dataclass(frozen=True)
class Fault:
    """`what` happens at the `at`-th item, checkpoint or batch, counted from 1 over the whole job. It happens once."""

    what: What
    at: int = 0

    def __str__(self) -> str:
        return f"{self.what} {self.at}" if self.at else str(self.what)


class Probe:
    """Counts what happens to a job, and disturbs it where `fault` says."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.items = 0
        self.checkpoints = 0
        self.undone = 0
        self.happened = False
        self.dead = False
        """Whether the process has died, and nobody has started another one yet."""
        self.pause: Callable[[], None] = lambda: None
        self.shut_down: Callable[[], None] = lambda: None
        self.on_death: Callable[[], None] = lambda: None
        self._at_commit = False
        self._after_commit = False

    def before_item(self) -> None:
        self.items += 1
        if self._is_now(What.PAUSE, self.items):
            self.pause()
        elif self._is_now(What.SHUTDOWN, self.items):
            self.shut_down()
        elif self._is_now(What.KILL_AT_LOOK, self.items):
            self._die()

    def after_item(self) -> None:
        if self._is_now(What.KILL_AFTER_ITEM, self.items):
            self._die()

    def applied(self) -> None:
        self.checkpoints += 1
        self._at_commit = self._is_now(What.KILL_BEFORE_COMMIT, self.checkpoints)
        self._after_commit = self._is_now(What.KILL_AFTER_COMMIT, self.checkpoints)

    def finished(self) -> None:
        if self._is_now(What.KILL_AFTER_FINISH, self.checkpoints):
            self._die()

    def undid(self) -> None:
        self.undone += 1
        self._at_commit = self._is_now(What.KILL_BEFORE_UNDO_COMMIT, self.undone)
        self._after_commit = self._is_now(What.KILL_AFTER_UNDO_COMMIT, self.undone)
        if self._is_now(What.STOP_UNDO, self.undone):
            self.shut_down()

    def before_commit(self) -> None:
        if self._at_commit:
            self._at_commit = False
            self._die()

    def after_commit(self) -> None:
        if self._after_commit:
            self._after_commit = False
            self._die()

    def _is_now(self, what: What, number: int) -> bool:
        if self.happened or self.fault != Fault(what, number):
            return False
        self.happened = True
        return True

    def _die(self) -> NoReturn:
        self.on_death()
        self.dead = True
        raise Killed
