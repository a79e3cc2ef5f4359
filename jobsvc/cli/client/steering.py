"""`pause`, `resume`, `terminate`, `rollback`: steering jobs that are named, or all that a filter finds."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from jobsvc.cli.client.api import Api, Unreachable, job_path
from jobsvc.cli.client.bulk import steer_all
from jobsvc.cli.client.exits import Ended, Exit
from jobsvc.cli.client.looking import STATES
from jobsvc.cli.client.obeying import is_under_way, obeyed, outcome, stands
from jobsvc.cli.client.output import Output
from jobsvc.cli.client.talking import command, talks

FIRST_WAIT_SECONDS = 1.0
"""After so long without obedience, a bar shows how far it is."""

RESUME_WAIT_SECONDS = 5.0
"""A resume is refused unless the job's pause is over by then."""

MAX_WAIT_SECONDS = 30.0
"""The longest that the service lets a request wait."""


def _steers(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command its ids, or its filter, and what goes with both."""
    for option in (
        click.argument("ids", metavar="[ID]...", nargs=-1),
        click.option("--all", "everything", is_flag=True, help="All jobs that the filter finds, or all there are."),
        click.option(
            "--state", type=STATES, metavar="STATE,…", help="With --all: only jobs in this state, or in one of these."
        ),
        click.option("--kind", help="With --all: only jobs of this kind."),
        click.option("--user", help="With --all: only jobs of this user."),
        click.option("--text", help="With --all: only jobs with this text in the id or the file's name."),
        click.option("--dry-run", is_flag=True, help="With --all: only say which jobs these are."),
        click.option("--yes", "-y", is_flag=True, help="With --all: do not ask first."),
        click.option(
            "--wait",
            type=click.FloatRange(0, MAX_WAIT_SECONDS),
            metavar="SECONDS",
            help="How long to wait for a job to obey.  [default: until all have]",
        ),
        click.option("--no-wait", is_flag=True, help="Only ask, and do not wait for a job to obey."),
    )[::-1]:
        command = option(command)
    return command


@command()
@_steers
@talks
def pause(api: Api, output: Output, **asked: Any) -> None:
    """Pause jobs: the rows that are done stay done, and resume goes on after them.

    It waits until the jobs stand still. Ctrl-C ends the waiting, and not what was asked for.
    """
    _steer(api, output, "pause", **asked)


@command()
@_steers
@click.option("--paused-by", metavar="ACTION", help="With --all: only jobs that this `pause --all` has paused.")
@talks
def resume(api: Api, output: Output, **asked: Any) -> None:
    """Have jobs go on that are paused, interrupted or failed."""
    _steer(api, output, "resume", **asked)


@command()
@_steers
@click.option("--rollback", is_flag=True, help="Then remove what the jobs have made; of finished jobs too.")
@talks
def terminate(api: Api, output: Output, **asked: Any) -> None:
    """Terminate jobs for good.

    It waits until the jobs have ended, and what they made is removed if that was asked for.
    Ctrl-C ends the waiting, and not what was asked for.
    """
    _steer(api, output, "terminate", **asked)


@command()
@_steers
@talks
def rollback(api: Api, output: Output, **asked: Any) -> None:
    """Remove what jobs have made that are finished; `terminate --rollback` does so for others.

    It waits until all is removed. Ctrl-C ends the waiting, and not the rollback.
    """
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
    no_wait: bool,
    rollback: bool = False,
    **named: str | None,
) -> None:
    """`named` is the filter: what is None in it does not matter."""
    if no_wait and wait is not None:
        raise click.UsageError("either --wait or --no-wait, and not both")
    which = {name: value for name, value in named.items() if value is not None}
    body: dict[str, Any] = {"rollback": True} if rollback else {}
    if everything:
        if ids:
            raise click.UsageError("either ids or --all, and not both")
        steer_all(api, output, {"action": verb, **which, **body}, dry_run=dry_run, yes=yes, wait=0 if no_wait else wait)
        return
    if yes or which or dry_run or not ids:
        raise click.UsageError("name jobs by their ids, or say --all; a filter, --dry-run and --yes go with --all")
    asking = _Asking(api, output, verb, rollback or verb == "rollback", body, 0 if no_wait else wait)
    faults = asking.each(list(dict.fromkeys(ids)))
    if faults:
        # Each has been told already.
        sys.exit(faults[0].exit_code)


class _Asking:
    """Asking the same of jobs that are named.

    `wait` is how long each has to obey, in seconds; None: as long as it needs.
    """

    def __init__(
        self, api: Api, output: Output, verb: str, rollback: bool, body: Mapping[str, Any], wait: float | None
    ) -> None:
        self._api, self._output, self._verb, self._rollback = api, output, verb, rollback
        first = RESUME_WAIT_SECONDS if verb == "resume" else FIRST_WAIT_SECONDS
        self._body = {**body, "wait": first if wait is None else wait}
        self._wait = wait
        self._faults: list[Ended] = []

    def each(self, ids: Sequence[str]) -> list[Ended]:
        """Ask it of every job before any of them is waited for; returns what went wrong.

        Raises Unreachable: the others would not be reached either.
        """
        slow = []
        for place, job_id in enumerate(ids):
            try:
                job = self._api.post(job_path(job_id, self._verb), self._body, has="state")
            except Unreachable as error:
                before = f"; {place} of {len(ids)} jobs were asked before" if place else ""
                raise Unreachable(f"{error.message}{before}", error.status, error.hint) from None
            except Ended as fault:
                if self._verb == "rollback" and fault.exit_code is Exit.REFUSED:
                    fault.hint = f"To end it first, and remove what it made: jobsvc terminate --rollback {job_id}"
                self._fault(job_id, fault)
            else:
                if self._wait is None and is_under_way(job):
                    slow.append(job)
                else:
                    self._tell(job)
        for job in slow:
            self._tell(obeyed(self._api, self._output, job))
        return self._faults

    def _tell(self, job: dict[str, Any]) -> None:
        if self._output.as_json:
            self._output.json(job)
        else:
            self._output.line(f"{job['id']} {stands(job, rollback=self._rollback)}")
        fault = outcome(job, rollback=self._rollback, at_once=self._wait == 0)
        if fault is not None:
            self._fault(job["id"], fault)

    def _fault(self, job_id: str, fault: Ended) -> None:
        self._faults.append(fault)
        if self._output.as_json:
            click.echo(json.dumps({"id": job_id, **fault.representation()}), err=True)
        else:
            fault.show()
