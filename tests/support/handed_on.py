"""Checkpoints that are always handed on: none is written before its run waits for it, having read what follows."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Condition, current_thread
from typing import Any

import pytest
from sqlalchemy import Connection

from jobsvc.jobs.states import State
from jobsvc.kinds.contract import Rest
from jobsvc.logs import about
from jobsvc.runs.checkpoints.order import Checkpoints
from jobsvc.runs.checkpoints.pending import Pending, Ready, Written
from jobsvc.runs.checkpoints.writer import CheckpointWriter
from tests.support.waiting import TIMEOUT

COMMITTER = "jobsvc-committer"
"""The name of the thread that commits."""


@dataclass
class HandedOn:
    """`_changed` guards the rest."""

    waits_for_none: bool = False
    """Whether checkpoints are written at once after all."""
    by: list[str] = field(default_factory=list)
    """The thread that has submitted each checkpoint."""
    about: list[about.Fields] = field(default_factory=list)
    """What the lines of the log are about while each is written."""
    abandoned: list[bool] = field(default_factory=list)
    """Of each that had begun when its run broke off, whether it had ended before the run went on to its end."""
    _changed: Condition = field(default_factory=Condition)
    _settling: dict[CheckpointWriter, int] = field(default_factory=dict)
    """How often each run has begun to wait."""
    _needed: dict[int, int] = field(default_factory=dict)
    """How often that is to be before a checkpoint is written, by the identity of what is ready."""

    def put_in(self, monkeypatch: pytest.MonkeyPatch) -> None:
        abandon = Checkpoints.abandon
        settle, begun, write = Checkpoints.settle, Checkpoints._begun, CheckpointWriter.write

        def begins_to_wait(checkpoints: Checkpoints) -> None:
            with self._changed:
                writer = checkpoints._writer
                self._settling[writer] = self._settling.get(writer, 0) + 1
                self._changed.notify_all()

        def settle_seen(checkpoints: Checkpoints) -> State:
            begins_to_wait(checkpoints)
            return settle(checkpoints)

        def abandon_seen(checkpoints: Checkpoints) -> None:
            begins_to_wait(checkpoints)
            following = checkpoints._following
            abandon(checkpoints)
            if following is not None and following.has_begun:
                self.abandoned.append(following.is_over)

        def begun_seen(checkpoints: Checkpoints, pending: Pending) -> Pending:
            ready = pending.ready
            with self._changed:
                self.by.append(current_thread().name)
                # The rest of one that was cut short is submitted while its run waits.
                more = 0 if isinstance(ready.batch, Rest) else 1
                self._needed[id(ready)] = self._settling.get(checkpoints._writer, 0) + more
            return begun(checkpoints, pending)

        def write_seen(writer: CheckpointWriter, connection: Connection, ready: Ready, *arguments: Any) -> Written:
            with self._changed:
                self.about.append(about.current())
                needed = self._needed[id(ready)]
                if not self.waits_for_none:
                    assert self._changed.wait_for(lambda: self._settling.get(writer, 0) >= needed, TIMEOUT)
            return write(writer, connection, ready, *arguments)

        monkeypatch.setattr(Checkpoints, "settle", settle_seen)
        monkeypatch.setattr(Checkpoints, "abandon", abandon_seen)
        monkeypatch.setattr(Checkpoints, "_begun", begun_seen)
        monkeypatch.setattr(CheckpointWriter, "write", write_seen)

    def by_committer(self) -> int:
        """How many checkpoints were begun by the thread that commits."""
        return sum(name == COMMITTER for name in self.by)
