"""Steering all jobs that a filter finds: one action, which the service carries out even if this command ends."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from time import monotonic
from typing import Any
from urllib.parse import quote

import click

from jobsvc.cli.client.api import Api
from jobsvc.cli.client.bars import open_bar
from jobsvc.cli.client.exits import Ended, Exit
from jobsvc.cli.client.output import Output

ACTIONS = "/jobs/actions"

LOOK_SECONDS = 1.0
"""For how long a look at an action waits for its end."""


def steer_all(
    api: Api, output: Output, demand: dict[str, Any], *, dry_run: bool, yes: bool, wait: float | None
) -> None:
    """Count what the demand finds, ask, and have it done; `wait` for it so many seconds, None: until it is done."""
    what = f"{demand['action']} --rollback" if demand.get("rollback") else demand["action"]
    preview = api.post(ACTIONS, {**demand, "dry_run": True})
    count = preview["would_do"]
    if dry_run:
        _tell_preview(output, what, preview)
        return
    if not count:
        output.note(f"there is no job to {what}")
        _tell_skipped(output, preview)
        return
    if not yes:
        if not _can_ask():
            raise Ended(Exit.USAGE, f"would {what} {count} jobs: say --yes, since nobody can be asked")
        click.confirm(f"{what} {count} jobs?", abort=True, err=True)
    action = api.post(ACTIONS, {**demand, "wait": 0})
    if not output.as_json:
        output.line(action["id"])
    action = _followed(api, output, action, wait)
    if output.as_json:
        output.json(action)
    under_way = "" if _is_over(action) else ", and it goes on"
    output.note(f"{what}: {action['done']} jobs{under_way}")
    _tell_skipped(output, action)


def _followed(api: Api, output: Output, asked: dict[str, Any], wait: float | None) -> dict[str, Any]:
    """The action as it is when it is over, or the time is."""
    last = asked
    try:
        with open_bar(output, asked["action"]) as bar:
            for last in _looks(api, asked, wait):
                bar.counted(last["done"] - last["stopping"], last["found"])
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
        action = api.get(f"{ACTIONS}/{quote(action['id'], safe='')}", {"wait": left})
        yield action


def _is_over(action: dict[str, Any]) -> bool:
    """Whether every job was asked, and those that were to stop stand still."""
    return action["finished_at"] is not None and not action["stopping"]


def _tell_preview(output: Output, what: str, preview: dict[str, Any]) -> None:
    if output.as_json:
        output.json(preview)
        return
    for job_id in preview["jobs"]:
        output.line(job_id)
    more = preview["would_do"] - len(preview["jobs"])
    output.note(f"would {what} {preview['would_do']} jobs" + (f": these and {more} more" if more else ""))
    _tell_skipped(output, preview)


def _tell_skipped(output: Output, told: dict[str, Any]) -> None:
    """Why jobs that the filter finds are left alone."""
    for reason in told["skipped"]["reasons"]:
        output.note(f"{reason['count']} left alone: {reason['why']}")


def _can_ask() -> bool:
    return sys.stdin.isatty()
