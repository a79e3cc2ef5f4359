"""`pause`, `resume`, `terminate`, `rollback`: steering jobs that are named, or all that a filter finds."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from jobsvc.cli.client.api import Api, Unreachable, job_path
from jobsvc.cli.client.bulk import steer_all
from jobsvc.cli.client.exits import Ended
from jobsvc.cli.client.looking import STATES
from jobsvc.cli.client.output import Output
from jobsvc.cli.client.talking import talks

DEFAULT_WAIT_SECONDS = 5.0

MAX_WAIT_SECONDS = 30.0
"""The longest that the service lets a request wait."""


def _steers(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command its ids, or its filter, and what goes with both."""
    for option in (
        click.argument("ids", metavar="[ID]...", nargs=-1),
        click.option("--all", "everything", is_flag=True, help="All jobs that the filter finds, or all there are."),
        click.option("--state", type=STATES, help="With --all: only jobs in this state."),
        click.option("--kind", help="With --all: only jobs of this kind."),
        click.option("--user", help="With --all: only jobs of this user."),
        click.option("--dry-run", is_flag=True, help="With --all: only say which jobs these are."),
        click.option("--yes", "-y", is_flag=True, help="With --all: do not ask first."),
        click.option(
            "--wait",
            type=click.FloatRange(0, MAX_WAIT_SECONDS),
            metavar="SECONDS",
            help="How long to wait for a job to obey.  [default: 5; with --all until all have]",
        ),
    )[::-1]:
        command = option(command)
    return command


@click.command()
@_steers
@talks
def pause(api: Api, output: Output, **asked: Any) -> None:
    """Pause jobs: the rows that are done stay done, and resume goes on after them."""
    _steer(api, output, "pause", **asked)


@click.command()
@_steers
@click.option("--paused-by", metavar="ACTION", help="With --all: only jobs that this `pause --all` has paused.")
@talks
def resume(api: Api, output: Output, **asked: Any) -> None:
    """Have jobs go on that are paused, interrupted or failed."""
    _steer(api, output, "resume", **asked)


@click.command()
@_steers
@click.option("--rollback", is_flag=True, help="Then remove what the jobs have made; of finished jobs too.")
@talks
def terminate(api: Api, output: Output, **asked: Any) -> None:
    """Terminate jobs for good."""
    _steer(api, output, "terminate", **asked)


@click.command()
@_steers
@talks
def rollback(api: Api, output: Output, **asked: Any) -> None:
    """Remove what jobs have made that are finished; `terminate --rollback` does so for others."""
    _steer(api, output, "rollback", **asked)


def _steer(
    api: Api,
    output: Output,
    verb: str,
    *,
    ids: Sequence[str],
    everything: bool,
    dry_run: bool,
    yes: bool,
    wait: float | None,
    rollback: bool = False,
    **named: str | None,
) -> None:
    """`named` is the filter: what is None in it does not matter."""
    which = {name: value for name, value in named.items() if value is not None}
    body: dict[str, Any] = {"rollback": True} if rollback else {}
    if everything:
        if ids:
            raise click.UsageError("either ids or --all, and not both")
        steer_all(api, output, {"action": verb, **which, **body}, dry_run=dry_run, yes=yes, wait=wait)
        return
    if not ids or which or dry_run:
        raise click.UsageError("name jobs by their ids, or say --all; a filter goes with --all")
    faults = _each(api, output, verb, ids, {**body, "wait": DEFAULT_WAIT_SECONDS if wait is None else wait})
    if faults:
        # Each has been told already.
        sys.exit(faults[0].exit_code)


def _each(api: Api, output: Output, verb: str, ids: Sequence[str], body: dict[str, Any]) -> list[Ended]:
    """Ask it of each job; returns what went wrong. Raises Unreachable: the others would not be reached either."""
    faults = []
    for place, job_id in enumerate(ids):
        try:
            job = api.post(job_path(job_id, verb), body)
        except Unreachable as error:
            before = f"; {place} of {len(ids)} jobs were asked before" if place else ""
            raise Unreachable(f"{error.message}{before}", error.status) from None
        except Ended as fault:
            faults.append(fault)
            if output.as_json:
                click.echo(json.dumps({"id": job_id, **fault.representation()}), err=True)
            else:
                fault.show()
        else:
            output.json(job) if output.as_json else output.line(f"{job_id} {job['state']}")
    return faults
