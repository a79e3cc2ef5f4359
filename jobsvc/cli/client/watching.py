"""`watch`: following a job until it has ended."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from time import monotonic, sleep
from typing import Any

import click

from jobsvc.cli.client.api import Api, CantWait, Seen, Unreachable
from jobsvc.cli.client.bars import Bar, open_bar
from jobsvc.cli.client.exits import Ended, Exit
from jobsvc.cli.client.output import Output, items_of
from jobsvc.cli.client.talking import command, talks
from jobsvc.jobs.states import FINISHED, State

FIRST_PAUSE_SECONDS = 0.1
MAX_PAUSE_SECONDS = 1.0
"""Between two looks at a job where the service can't wait, or is away: a short job is seen at once,
a long one is not asked for all the time."""

PATIENCE_SECONDS = 60.0
"""For how long a service may be away, to be restarted, while a job of it is watched."""


@command()
@click.argument("job_id", metavar="ID")
@talks
def watch(api: Api, output: Output, job_id: str) -> None:
    """Follow a job until it has ended; the exit code says how. Ctrl-C ends the watching, and not the job.

    A paused job is waited for: it ends once somebody resumes or terminates it. With
    --json, each change is a line; the last one is the job as it has ended.
    """
    job = watched(api, output, job_id)
    tell_end(api, output, job)
    end_with(job)


def watched(api: Api, output: Output, job_id: str, later: str | None = None) -> dict[str, Any]:
    """Show a job until it has ended, and return it. Raises Ended for Ctrl-C.

    `later` is the command that does after the job's end what this one would have done.
    """
    try:
        with open_bar(output, "job") as bar:
            return _follow(api, output, job_id, bar)
    except KeyboardInterrupt:
        raise Ended(
            Exit.INTERRUPTED,
            f"No longer watching: job {job_id} goes on. To watch it again: jobsvc watch {job_id}; "
            f"to stop it: jobsvc pause {job_id}"
            + (f"; to have its result later: {later}" if later is not None else ""),
        ) from None


def _follow(api: Api, output: Output, job_id: str, bar: Bar) -> dict[str, Any]:
    job: dict[str, Any] = {}
    for job in looks(api, job_id, output.note):
        if output.as_json:
            output.json(job)
        else:
            bar.job(job, api.items(job["kind"]))
        if has_ended(job):
            break
    return job


def has_ended(job: dict[str, Any]) -> bool:
    return job["state"] in FINISHED


def looks(
    api: Api,
    job_id: str,
    note: Callable[[str], None],
    pause: Callable[[float], None] = sleep,
    clock: Callable[[], float] = monotonic,
) -> Iterator[dict[str, Any]]:
    """A job, whenever there is something new of it, for ever. Raises Unreachable if the service stays away.

    The service waits until there is; one of an older version is asked again and again.
    """
    last: dict[str, Any] | None = None
    interval = FIRST_PAUSE_SECONDS
    away_since: float | None = None
    can_wait = True
    while True:
        version = last.get("version") if can_wait and last is not None and away_since is None else None
        try:
            seen = api.changed_job(job_id, version) if version else Seen(api.job(job_id), 0.0)
        except CantWait:
            can_wait = False
            continue
        except Unreachable as error:
            # What has never answered is no service that is being restarted.
            if last is None or (away_since is not None and clock() - away_since > PATIENCE_SECONDS):
                raise
            if away_since is None:
                away_since = clock()
                note(f"{error.message}; asking again for {PATIENCE_SECONDS:.0f} s")
            rest = interval
        else:
            away_since = None
            if seen.job != last:
                yield seen.job
            last = seen.job
            rest = seen.pause if can_wait and "version" in last else interval
        if rest:
            pause(rest)
            interval = min(MAX_PAUSE_SECONDS, interval * 1.3)


def end_with(job: dict[str, Any]) -> None:
    """End the command as the job has ended."""
    code = outcome(job)
    if code is not Exit.OK:
        # It has been told already.
        sys.exit(code)


def outcome(job: dict[str, Any]) -> Exit:
    if job["state"] != State.SUCCEEDED:
        return Exit.FAILED
    return Exit.REFUSED_ROWS if job["progress"]["failed"] else Exit.OK


def tell_end(api: Api, output: Output, job: dict[str, Any]) -> None:
    """How a job has ended, for people."""
    if output.as_json:
        return
    progress = job["progress"]
    if job["rolled_back"]:
        output.note(f"{job['state']}, and rolled back: what the job had made is removed")
    else:
        done = items_of(progress["done"], api.items(job["kind"]))
        output.note(f"{job['state']}: {done} done, {progress['failed']:,} refused")
    for warning in job["warnings"]:
        output.note(f"warning: {warning}")
    if job["error"]:
        output.note(f"error: {job['error']}")
    if progress["failed"] and not job["rolled_back"]:
        output.note(f"The refused rows and why: jobsvc failed {job['id']}")
