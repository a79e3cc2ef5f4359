"""`export`: what jobs have made, as one CSV file."""

from __future__ import annotations

import shlex
from typing import Any

import click

from jobsvc.cli.client.api import Api, job_path
from jobsvc.cli.client.creating import PRIORITY, told_and_watched
from jobsvc.cli.client.downloads.downloading import PRINTED, TO, check_place, download
from jobsvc.cli.client.exits import Exit
from jobsvc.cli.client.output import Output
from jobsvc.cli.client.talking import command, talks
from jobsvc.cli.client.watching import end_with, outcome


@command()
@click.argument("first", metavar="FROM")
@click.argument("last", metavar="TO")
@click.option("--job", help="Only what the job with this id has made.")
@click.option("--for-spreadsheet", is_flag=True, help="Make it safe to open in a spreadsheet.")
@PRIORITY
@click.option("-o", "--output", "to", type=TO, help="Wait for the export, and write it to this file or directory.")
@click.option("--watch", is_flag=True, help="Follow the job until it has ended; -o does so too.")
@talks
def export(
    api: Api,
    output: Output,
    first: str,
    last: str,
    job: str | None,
    for_spreadsheet: bool,
    priority: str | None,
    to: str | None,
    watch: bool,
) -> None:
    """Export the records of all days from FROM to TO (YYYY-MM-DD), both included; print the job's id."""
    if to is not None:
        check_place(to)
    body: dict[str, Any] = {"from": first, "to": last}
    if job is not None:
        body["job"] = job
    if for_spreadsheet:
        body["for_spreadsheet"] = True
    if priority is not None:
        body["priority"] = priority
    created = api.post("/exportData", body, has="Job ID")
    later = None if to is None else f"jobsvc result {created['Job ID']} -o {shlex.quote(to)}"
    # Standard output has one result: the file, if it is to be printed.
    made = told_and_watched(api, output, created, watch=watch or to is not None, later=later, quiet=to == PRINTED)
    if made is None:
        return
    if to is not None and outcome(made) is not Exit.FAILED:
        download(api, output, job_path(made["id"], "result"), f"{made['id']}.csv", to)
    end_with(made)
