"""The kind `ticks`, in a process that stands still once: in the moment in which a job gives way.

The environment says where: `HELD_AT` is `before` its commit or `after` it, `HELD_IN` a folder for the mark that
somebody stands there. It stands until it is killed; whatever is started later finds the mark and goes on.
"""

from __future__ import annotations

import os
from pathlib import Path
from threading import Event
from typing import Any

from jobsvc.jobs.states import State
from jobsvc.runs import ending
from jobsvc.runs.runner import Runner
from tests.support.ticks import Ticks

__all__ = ["Ticks"]

BEFORE, AFTER = "before", "after"

_AT, _MARK = os.environ["HELD_AT"], Path(os.environ["HELD_IN"]) / "reached"
_transition, _run = ending.transition, Runner.run


def _stand_still() -> None:
    try:
        _MARK.touch(exist_ok=False)
    except FileExistsError:
        return
    Event().wait()


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


if _AT == BEFORE:
    ending.transition = _transition_held
else:
    Runner.run = _run_held  # type: ignore[method-assign]
