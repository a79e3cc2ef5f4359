"""`failed`, `unprocessed`, `result`: downloads that go on where they broke off."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from jobsvc.cli.client.api import Api, Unreachable, job_path
from jobsvc.cli.client.bars import open_bar
from jobsvc.cli.client.exits import Ended, Exit
from jobsvc.cli.client.fetching import fetch
from jobsvc.cli.client.output import Output
from jobsvc.cli.client.talking import talks
from jobsvc.cli.client.targets import FileTarget, StreamTarget

TO = click.Path()

OUTPUT_HELP = "The file to write, or a directory for it; a broken download goes on from FILE.part.  [default: print it]"


@click.command()
@click.argument("job_id", metavar="ID")
@click.option("-o", "--output", "to", type=TO, help=OUTPUT_HELP)
@talks
def failed(api: Api, output: Output, job_id: str, to: str | None) -> None:
    """Download the rows that a job refused, each with its line and the reason, as CSV."""
    download(api, output, job_path(job_id, "failed"), f"{job_id}-failed.csv", to)


@click.command()
@click.argument("job_id", metavar="ID")
@click.option("-o", "--output", "to", type=TO, help=OUTPUT_HELP)
@talks
def unprocessed(api: Api, output: Output, job_id: str, to: str | None) -> None:
    """Download the rows that a stopped job has not come to, as CSV."""
    download(api, output, job_path(job_id, "unprocessed"), f"{job_id}-unprocessed.csv", to)


@click.command()
@click.argument("job_id", metavar="ID")
@click.option("-o", "--output", "to", type=TO, help=OUTPUT_HELP)
@talks
def result(api: Api, output: Output, job_id: str, to: str | None) -> None:
    """Download the file that a job has made."""
    download(api, output, job_path(job_id, "result"), f"{job_id}.csv", to)


def download(api: Api, output: Output, path: str, name: str, to: str | None) -> None:
    """Write what is at `path` to a file, or print it."""
    if to is None:
        fetch(api, path, StreamTarget(sys.stdout.buffer), lambda *_: None)
        return
    check_place(to)
    # An id comes from the command line; what is in it is no path.
    file = Path(to) / name.replace("/", "_") if Path(to).is_dir() else Path(to)
    if file.exists() and not file.is_file():
        # Such as /dev/stdout, or a named pipe.
        with file.open("wb") as stream:
            fetch(api, path, StreamTarget(stream), lambda *_: None)
        return
    target = FileTarget(file, api.url + path)
    try:
        with open_bar(output, "download") as bar:
            written = fetch(api, path, target, bar.moved)
    except KeyboardInterrupt:
        raise Ended(Exit.INTERRUPTED, f"The download was broken off{_rest(target)}") from None
    except Unreachable as error:
        raise Unreachable(f"{error.message}{_rest(target)}", error.status) from None
    told: dict[str, Any] = {"file": str(file), "bytes": written}
    if output.as_json:
        output.json(told)
    else:
        output.note(f"{file}: {written:,} bytes")


def check_place(to: str) -> None:
    """Say so at once if nothing can be written there, and not after somebody has waited for it."""
    folder = Path(to) if Path(to).is_dir() or to.endswith("/") else Path(to).parent
    if not folder.is_dir():
        raise Ended(Exit.ERROR, f"{to} can't be written: there is no directory {folder}")


def _rest(target: FileTarget) -> str:
    return "; the same command goes on with it later" if target.position and target.etag else ""
