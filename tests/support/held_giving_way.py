"""The kind `ticks`, in a process that stands still once: in the moment in which a job gives way, or gets a slot.

The environment says where: `HELD_AT` is `before` the commit of giving way or `after` it, or `taken`: a worker has
taken the entry of a job, and has not begun the job. `HELD_IN` is a folder for the mark that somebody stands there. It
stands until it is killed, or somebody puts `go` there; whatever is started later finds the mark and goes on.
"""

from __future__ import annotations

import os
from pathlib import Path
from threading import Event
from typing import Any

from jobsvc.jobs.states import State
from jobsvc.process.worker import OwnProcess
from jobsvc.runs import ending
from jobsvc.runs.runner import Runner
from tests.support.ticks import Ticks

__all__ = ["Ticks"]

_AT, _IN = os.environ["HELD_AT"], Path(os.environ["HELD_IN"])
_transition, _run, _claim_entry = ending.transition, Runner.run, Runner.claim_entry


def _stand_still() -> None:
    try:
        (_IN / "reached").touch(exist_ok=False)
    except FileExistsError:
        return
    while not (_IN / "go").exists():
        Event().wait(0.01)


def _transition_held(connection: Any, job: Any, after: State, **more: Any) -> Any:
    moved = _transition(connection, job, after, **more)
    if after is State.QUEUED and moved is not None:
        _stand_still()
    return moved


def _run_held(runner: Runner, *arguments: Any) -> Any:
    left = _run(runner, *arguments)
    if left is State.QUEUED:
        _stand_still()
    return left


def _claim_entry_held(runner: Runner, *arguments: Any) -> Any:
    _stand_still()
    return _claim_entry(runner, *arguments)


match _AT:
    case "before":
        ending.transition = _transition_held
    case "after":
        Runner.run = _run_held  # type: ignore[method-assign]
    case "taken":
        Runner.claim_entry = _claim_entry_held  # type: ignore[method-assign]
        # Whoever is to ask must not be helped by a sweep.
        OwnProcess.rescue = lambda self: None  # type: ignore[method-assign]
