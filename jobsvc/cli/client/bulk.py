"""Steering all jobs that a filter finds: one action, which the service carries out even if this command ends."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from time import monotonic
from typing import Any, NamedTuple
from urllib.parse import quote

import click

from jobsvc.cli.client.api import Api, kind_path
from jobsvc.cli.client.bars import open_bar
from jobsvc.cli.client.exits import Ended, Exit
from jobsvc.cli.client.output import Output, number

ACTIONS = "/jobs/actions"


class Words(NamedTuple):
    """An action on jobs: what it is to do, and has done."""

    do: str
    done: str


WORDS = {
    "pause": Words("pause", "paused"),
    "resume": Words("resume", "resumed"),
    "terminate": Words("terminate", "terminated"),
    "rollback": Words("roll back", "rolled back"),
    "terminate --rollback": Words("terminate and roll back", "terminated and rolled back"),
}

LOOK_SECONDS = 1.0
"""For how long a look at an action waits for its end."""


def steer_all(
    api: Api, output: Output, demand: dict[str, Any], *, dry_run: bool, yes: bool, wait: float | None
) -> None:
    """Count what the demand finds, ask, and have it done; `wait` for it so many seconds, None: until it is done."""
    words = WORDS["terminate --rollback" if demand.get("rollback") else demand["action"]]
    if demand.get("paused_by") is not None:
        api.get(_path(demand["paused_by"]), has="action")
    preview = api.post(ACTIONS, {**demand, "dry_run": True}, has="would_do")
    count = preview["would_do"]
    if not count and demand.get("kind") is not None:
        # Of a kind that there is not, the service finds no jobs either.
        api.get(kind_path(demand["kind"]), has="name")
    if dry_run:
        _tell_preview(output, words, preview)
        return
    if not count:
        if output.as_json:
            output.json(preview)
        output.note(f"there is no job to {words.do}")
        _tell_skipped(output, preview)
        return
    if not yes:
        _ask(f"{words.do} {number(count, 'job')}")
    action = api.post(ACTIONS, {**demand, "wait": 0}, has="action")
    if not output.as_json:
        output.line(action["id"])
    action = _followed(api, output, action, wait)
    if output.as_json:
        output.json(action)
    if _is_over(action):
        output.note(f"{words.done} {number(action['done'], 'job')}")
    _tell_skipped(output, action)
    if not _is_over(action):
        there = action["done"] - action["stopping"]
        of = number(action["done"] + action["left"], "job")
        told = f"{there:,} of {of} are {words.done}; the action {action['id']} goes on"
        if wait != 0:
            raise Ended(Exit.UNDER_WAY, told)
        output.note(told)


def _ask(what: str) -> None:
    """Have somebody say yes. Raises Ended."""
    if not _can_ask():
        raise Ended(Exit.USAGE, f"this would {what}, and nobody can be asked here: say --yes")
    try:
        if click.confirm(f"{what}?", err=True):
            return
    except click.Abort as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise Ended(Exit.INTERRUPTED, "Broken off: nothing was asked of any job.") from None
    raise Ended(Exit.ERROR, "nothing was asked of any job")


def _followed(api: Api, output: Output, asked: dict[str, Any], wait: float | None) -> dict[str, Any]:
    """The action as it is when it is over, or the time is."""
    last = asked
    try:
        with open_bar(output, asked["action"]) as bar:
            for last in _looks(api, asked, wait):
                bar.counted(last["done"] - last["stopping"], last["done"] + last["left"])
    except KeyboardInterrupt:
        raise Ended(Exit.INTERRUPTED, f"No longer waiting: the action {asked['id']} goes on.") from None
    return last


def _looks(api: Api, action: dict[str, Any], wait: float | None) -> Iterator[dict[str, Any]]:
    """The action as it stands, until it is over or the time is."""
    deadline = None if wait is None else monotonic() + wait
    while not _is_over(action):
        left = LOOK_SECONDS if deadline is None else min(LOOK_SECONDS, deadline - monotonic())
        if left <= 0:
            return
        action = api.get(_path(action["id"]), {"wait": left}, has="action")
        yield action


def _path(action_id: str) -> str:
    return f"{ACTIONS}/{quote(action_id, safe='')}"


def _is_over(action: dict[str, Any]) -> bool:
    """Whether every job was asked, and those that were to stop stand still."""
    return action["finished_at"] is not None and not action["stopping"]


def _tell_preview(output: Output, words: Words, preview: dict[str, Any]) -> None:
    if output.as_json:
        output.json(preview)
        return
    for job_id in preview["jobs"]:
        output.line(job_id)
    more = preview["would_do"] - len(preview["jobs"])
    these = f": these and {more:,} more" if more else ""
    output.note(f"would {words.do} {number(preview['would_do'], 'job')}{these}")
    _tell_skipped(output, preview)


def _tell_skipped(output: Output, told: dict[str, Any]) -> None:
    """Why jobs that the filter finds are left alone."""
    for reason in told["skipped"]["reasons"]:
        output.note(f"{reason['count']:,} left alone: {reason['why']}")


def _can_ask() -> bool:
    return sys.stdin.isatty()
