"""`apply`: the job that does what a dry run has checked."""

from __future__ import annotations

import click

from jobsvc.cli.client.api import Api, job_path
from jobsvc.cli.client.creating import PRIORITY, told_and_watched
from jobsvc.cli.client.exits import Ended, Exit
from jobsvc.cli.client.output import Output
from jobsvc.cli.client.talking import command, talks
from jobsvc.cli.client.watching import end_with


@command("apply")
@click.argument("job_id", metavar="ID")
@PRIORITY
@click.option("--again", is_flag=True, help="Also if it was applied before: what it makes is made once more.")
@click.option("--watch", is_flag=True, help="Follow the job until it has ended; the exit code says how.")
@talks
def apply_it(api: Api, output: Output, job_id: str, priority: str | None, again: bool, watch: bool) -> None:
    """Start the job that does what the dry run ID has checked, of the same file; print the new job's id.

    Nothing is uploaded.
    """
    before = api.job(job_id).get("applied_as")
    if before and not again:
        raise Ended(Exit.REFUSED, f"it was applied already, as {before[-1]}; --again makes another job of it")
    body = {} if priority is None else {"priority": priority}
    made = api.post(job_path(job_id, "apply"), body, has="id")
    job = told_and_watched(api, output, made, watch=watch)
    if job is not None:
        end_with(job)
