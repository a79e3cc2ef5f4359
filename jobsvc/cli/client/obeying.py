"""Whether jobs have obeyed what was asked of them, and how that is told."""

from __future__ import annotations

from typing import Any

from jobsvc.cli.client.api import Api
from jobsvc.cli.client.bars import open_bar
from jobsvc.cli.client.exits import Ended, Exit
from jobsvc.cli.client.output import Output
from jobsvc.cli.client.watching import looks
from jobsvc.jobs.states import STOPPING, State

GOES_ON = "What was asked for goes on. To follow it: jobsvc watch"


def is_under_way(job: dict[str, Any]) -> bool:
    """Whether the job is on its way to where it was sent."""
    return job["state"] in STOPPING


def obeyed(api: Api, output: Output, asked: dict[str, Any]) -> dict[str, Any]:
    """Wait until a job has obeyed, with a bar; returns it as it is then. Raises Ended for Ctrl-C, Unreachable."""
    job = asked
    try:
        with open_bar(output, asked["state"]) as bar:
            for job in looks(api, asked["id"], output.note):
                bar.job(job, api.items(job["kind"]))
                if not is_under_way(job):
                    break
    except KeyboardInterrupt:
        raise Ended(Exit.INTERRUPTED, f"No longer waiting. {GOES_ON} {asked['id']}") from None
    return job


def stands(job: dict[str, Any], *, rollback: bool) -> str:
    """Where a job stands, in a few words; `rollback`: it was to be rolled back."""
    if job["rollback"] and is_under_way(job):
        return f"rolling back, {job['rollback']['percent'] or 0:.0f} %"
    if rollback and job["rolled_back"]:
        return "rolled back"
    return str(job["state"])


def outcome(job: dict[str, Any], *, rollback: bool, at_once: bool) -> Ended | None:
    """What is to be said of a job that did not come to where it was sent. `at_once`: nobody wanted to wait for it."""
    if is_under_way(job):
        if at_once:
            return None
        return Ended(Exit.UNDER_WAY, f"job {job['id']} has not obeyed yet", hint=f"{GOES_ON} {job['id']}")
    if rollback and not job["rolled_back"] and job["state"] == State.TERMINATED:
        why = job["error"] or "it was terminated without that before"
        return Ended(Exit.FAILED, f"job {job['id']} was not rolled back: {why}")
    return None
