"""`report`: what a job has found in its file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from jobsvc.cli.client.api import Api, job_path
from jobsvc.cli.client.output import Output
from jobsvc.cli.client.talking import command, talks
from jobsvc.jobs.states import FINISHED, State

MOST_ROWS = 100


@command()
@click.argument("job_id", metavar="ID")
@click.option(
    "--rows",
    type=click.IntRange(0, MOST_ROWS),
    metavar="N",
    default=0,
    show_default=True,
    help=f"Show the first N refused rows too, up to {MOST_ROWS}.",
)
@talks
def report(api: Api, output: Output, job_id: str, rows: int) -> None:
    """Show what a job has found in its file: how many rows were done, and why others were refused.

    Of a dry run it says what the job would do: `jobsvc upload FILE -p dry_run=true`.
    """
    found = api.get(job_path(job_id, "report"), {"refused": rows}, has="reasons")
    if output.as_json:
        output.json(found)
        return
    job = api.job(job_id)
    output.fields(_told(found, job))
    if found["reasons"]:
        output.line("")
        output.table(("refused", "column", "first line", "why"), map(_reason, found["reasons"]))
    if found["refused"]:
        output.line("")
        output.table(("line", "row", "why"), ([row["line"], row["text"], row["error"]] for row in found["refused"]))
    if found["reasons"]:
        output.note(f"All refused rows, each with its reason: jobsvc failed {job_id}")
    if not found["complete"]:
        rest = "was not looked at" if job["state"] in FINISHED else "is yet to come"
        output.note(f"The report is of a part of the file: the rest {rest}.")
    if _can_be_applied(job):
        output.note(f"To have it done: jobsvc apply {job_id}")


def _told(found: Mapping[str, Any], job: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "job", found["job"]
    yield "file", job["filename"]
    yield "state", f"{found['state']}, a dry run: nothing was made" if _is_dry_run(job) else found["state"]
    done = "would be done" if _is_dry_run(job) else "done"
    yield "rows", f"{found['done']:,} {done}, {found['failed']:,} refused, {found['blank']:,} blank"
    for applied in job["applied_as"]:
        yield "applied as", applied


def _reason(reason: Mapping[str, Any]) -> list[Any]:
    first = reason["samples"][0]["line"] if reason["samples"] else None
    return [reason["count"], reason["column"], first, reason["reason"]]


def _is_dry_run(job: Mapping[str, Any]) -> bool:
    return bool(job["params"].get("dry_run"))


def _can_be_applied(job: Mapping[str, Any]) -> bool:
    return _is_dry_run(job) and job["state"] == State.SUCCEEDED and not job["applied_as"]
