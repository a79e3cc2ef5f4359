"""`log`: what a job's runs and its kind have said."""

from __future__ import annotations

from collections.abc import Iterator
from time import sleep
from typing import Any

import click

from jobsvc.cli.client.api import MAX_PAGE, Api, job_path
from jobsvc.cli.client.exits import Ended, Exit
from jobsvc.cli.client.output import Output, printable
from jobsvc.cli.client.talking import talks
from jobsvc.jobs.states import FINISHED

PAUSE_SECONDS = 1.0
"""Between two looks for new lines."""


@click.command()
@click.argument("job_id", metavar="ID")
@click.option("--follow", is_flag=True, help="Go on with new lines until the job has ended. Ctrl-C ends the following.")
@talks
def log(api: Api, output: Output, job_id: str, follow: bool) -> None:
    """Show what a job's runs and its kind have said, the oldest first; its newest thousand lines are kept.

    A line has its time, attempt and level, and the item that it is about. With --json,
    each line is an object.
    """
    try:
        _print(api, output, job_id, follow)
    except KeyboardInterrupt:
        if not follow:
            raise
        raise Ended(Exit.INTERRUPTED, f"No longer following: job {job_id} goes on.") from None


def _print(api: Api, output: Output, job_id: str, follow: bool) -> None:
    after = 0
    while True:
        # Asked before its lines: a job that has ended then says nothing more.
        ended = not follow or api.job(job_id)["state"] in FINISHED
        for line in _lines(api, job_id, after):
            after = line["line"]
            if output.as_json:
                output.json(line)
            else:
                click.echo(_shown(line))
        if ended:
            return
        sleep(PAUSE_SECONDS)


def _lines(api: Api, job_id: str, after: int) -> Iterator[dict[str, Any]]:
    """The lines after the one with that number, page by page."""
    page = str(after) if after else None
    while True:
        found = api.get(job_path(job_id, "log"), {"limit": MAX_PAGE, "after": page})
        yield from found["lines"]
        page = found["next"]
        if page is None:
            return


def _shown(line: dict[str, Any]) -> str:
    item = "" if line["item"] is None else f"item {line['item']}: "
    return f"{line['at'] or '-'} {line['attempt']} {line['level']:<7} {item}{printable(line['text'])}"
