"""`pause`, `resume`, `terminate`, `rollback`: steering jobs that are named, or all that a filter finds."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import click

from jobsvc.cli.client.api import Api, Unreachable, job_path
from jobsvc.cli.client.exits import Ended, Exit
from jobsvc.cli.client.looking import STATES
from jobsvc.cli.client.output import Output
from jobsvc.cli.client.talking import talks
from jobsvc.jobs.states import FINISHED, MOVES, Action, State

MAX_WAIT_SECONDS = 30.0
"""The longest that the service lets a request wait."""


ONLY_IF_NAMED = {Action.RESUME: {State.FAILED}, Action.TERMINATE_AND_ROLL_BACK: FINISHED}
"""With --all, jobs in these states are left alone unless --state names the state.

Somebody who fills the service again does not mean what failed last month, nor does
somebody who ends everything mean what is done.
"""


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
            help="How long to wait for each job to obey.  [default: 5; with --all 0]",
        ),
    )[::-1]:
        command = option(command)
    return command


@click.command()
@_steers
@talks
def pause(api: Api, output: Output, **asked: Any) -> None:
    """Pause jobs: the rows that are done stay done, and resume goes on after them."""
    _steer(api, output, "pause", Action.PAUSE, **asked)


@click.command()
@_steers
@talks
def resume(api: Api, output: Output, **asked: Any) -> None:
    """Have jobs go on that are paused, interrupted or failed."""
    _steer(api, output, "resume", Action.RESUME, **asked)


@click.command()
@_steers
@click.option("--rollback", is_flag=True, help="Then remove what the jobs have made; of finished jobs too.")
@talks
def terminate(api: Api, output: Output, rollback: bool, **asked: Any) -> None:
    """Terminate jobs for good."""
    action = Action.TERMINATE_AND_ROLL_BACK if rollback else Action.TERMINATE
    _steer(api, output, "terminate", action, **asked)


@click.command()
@_steers
@talks
def rollback(api: Api, output: Output, **asked: Any) -> None:
    """Remove what jobs have made that are finished; `terminate --rollback` does so for others."""
    _steer(api, output, "rollback", Action.ROLL_BACK, **asked)


def _steer(
    api: Api,
    output: Output,
    verb: str,
    action: Action,
    *,
    ids: Sequence[str],
    everything: bool,
    state: str | None,
    kind: str | None,
    user: str | None,
    dry_run: bool,
    yes: bool,
    wait: float | None,
) -> None:
    body = {"rollback": True} if action is Action.TERMINATE_AND_ROLL_BACK else {}
    if not everything:
        if not ids or state or kind or user or dry_run:
            raise click.UsageError("name jobs by their ids, or say --all; a filter goes with --all")
        _end(_each(api, output, verb, ids, {**body, "wait": 5.0 if wait is None else wait}))
        return
    if ids:
        raise click.UsageError("either ids or --all, and not both")
    jobs = _found(api, action, state, {"kind": kind, "user": user})
    what = f"{verb} --rollback" if body else verb
    if not _agreed(output, what, jobs, dry_run=dry_run, yes=yes):
        return
    faults = _each(api, output, verb, [job["id"] for job in jobs], {**body, "wait": wait or 0.0})
    # Meanwhile a job may have ended, or have been forgotten: it is none of those any more.
    gone = [fault for fault in faults if fault.status in (404, 409)]
    if gone:
        output.note(f"{len(gone)} of them could not be asked any more")
    _end([fault for fault in faults if fault not in gone])


def _found(api: Api, action: Action, state: str | None, query: dict[str, str | None]) -> list[dict[str, Any]]:
    """The jobs that an action would take somewhere: neither those that are there, nor those it is not for."""
    could = [before for before, after in MOVES[action].items() if after is not None]
    states = [before for before in could if before not in ONLY_IF_NAMED.get(action, ())]
    if state is not None:
        if State(state) not in could:
            raise Ended(Exit.USAGE, f"a {state} job can't be {action}; it can from {', '.join(could)}")
        states = [State(state)]
    # By id, since a job may be in one state when one page is read, and in another with the next.
    found = {job["id"]: job for before in states for job in api.jobs(None, {**query, "state": str(before)})[0]}
    again = action in (Action.ROLL_BACK, Action.TERMINATE_AND_ROLL_BACK)
    return [job for job in found.values() if not (again and job["rolled_back"])]


def _agreed(output: Output, what: str, jobs: Sequence[dict[str, Any]], *, dry_run: bool, yes: bool) -> bool:
    """Whether to go on, after it was told how many jobs these are."""
    counted = Counter(job["state"] for job in jobs)
    told = ", ".join(f"{count} {state}" for state, count in counted.items())
    if dry_run:
        for job in jobs:
            output.json(job) if output.as_json else output.line(f"{job['id']} {job['state']}")
        output.note(f"would {what} {len(jobs)} jobs" + (f": {told}" if jobs else ""))
        return False
    if not jobs:
        output.note(f"there is no job to {what}")
        return False
    if not yes:
        if not _can_ask():
            raise Ended(
                Exit.USAGE, f"this would {what} {len(jobs)} jobs ({told}): say --yes, since nobody can be asked"
            )
        click.confirm(f"{what} {len(jobs)} jobs ({told})?", abort=True, err=True)
    return True


def _can_ask() -> bool:
    return sys.stdin.isatty()


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


def _end(faults: Sequence[Ended]) -> None:
    """End with the code of what went wrong first; it has been told already."""
    if faults:
        sys.exit(faults[0].exit_code)
