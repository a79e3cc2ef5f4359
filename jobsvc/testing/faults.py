"""Faults that come at an exact point of a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NoReturn


class Killed(BaseException):
    """The process dies here. Code that catches this can do nothing more: the database refuses all that comes then."""


class FaultType(StrEnum):
    """What happens, and where; the number of the item, checkpoint or batch follows the text."""

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
    """One fault, at the `at`-th item, checkpoint or batch, counted from 1 over the whole job. It comes once."""

    type: FaultType
    at: int = 0

    def __str__(self) -> str:
        return f"{self.type} {self.at}" if self.at else str(self.type)


class Probe:
    """Counts the items, checkpoints and batches of a job, and brings about `fault` when its number comes."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.items = 0
        self.checkpoints = 0
        self.undone = 0
        self.happened = False
        self.dead = False
        """Whether the process has died, and no other was started yet."""
        self.pause: Callable[[], None] = lambda: None
        self.shut_down: Callable[[], None] = lambda: None
        self.on_death: Callable[[], None] = lambda: None
        self._at_commit = False
        self._after_commit = False

    def before_item(self) -> None:
        self.items += 1
        if self._is_now(FaultType.PAUSE, self.items):
            self.pause()
        elif self._is_now(FaultType.SHUTDOWN, self.items):
            self.shut_down()
        elif self._is_now(FaultType.KILL_AT_LOOK, self.items):
            self._die()

    def after_item(self) -> None:
        if self._is_now(FaultType.KILL_AFTER_ITEM, self.items):
            self._die()

    def applied(self) -> None:
        self.checkpoints += 1
        self._at_commit = self._is_now(FaultType.KILL_BEFORE_COMMIT, self.checkpoints)
        self._after_commit = self._is_now(FaultType.KILL_AFTER_COMMIT, self.checkpoints)

    def finished(self) -> None:
        if self._is_now(FaultType.KILL_AFTER_FINISH, self.checkpoints):
            self._die()

    def undid(self) -> None:
        self.undone += 1
        self._at_commit = self._is_now(FaultType.KILL_BEFORE_UNDO_COMMIT, self.undone)
        self._after_commit = self._is_now(FaultType.KILL_AFTER_UNDO_COMMIT, self.undone)
        if self._is_now(FaultType.STOP_UNDO, self.undone):
            self.shut_down()

    def before_commit(self) -> None:
        if self._at_commit:
            self._at_commit = False
            self._die()

    def after_commit(self) -> None:
        if self._after_commit:
            self._after_commit = False
            self._die()

    def _is_now(self, type: FaultType, number: int) -> bool:
        if self.happened or self.fault != Fault(type, number):
            return False
        self.happened = True
        return True

    def _die(self) -> NoReturn:
        self.on_death()
        self.dead = True
        raise Killed
