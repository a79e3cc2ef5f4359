"""`failed`, `unprocessed`, `result`: downloads that go on where they broke off."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from jobsvc.cli.client.api import Api, job_path
from jobsvc.cli.client.bars import open_bar
from jobsvc.cli.client.downloads.fetching import fetch
from jobsvc.cli.client.downloads.targets import FileTarget, StreamTarget
from jobsvc.cli.client.exits import Ended, Exit
from jobsvc.cli.client.output import Output
from jobsvc.cli.client.talking import command, talks

TO = click.Path()

PRINTED = "-"
"""Where a download goes that is to be printed."""

OUTPUT_HELP = "The file to write, or a directory for it; a broken download goes on from FILE.part.  [default: print it]"


@command()
@click.argument("job_id", metavar="ID")
@click.option("-o", "--output", "to", type=TO, help=OUTPUT_HELP)
@talks
def failed(api: Api, output: Output, job_id: str, to: str | None) -> None:
    """Download the rows that a job refused, each with its line and the reason, as CSV."""
    download(api, output, job_path(job_id, "failed"), f"{job_id}-failed.csv", to)


@command()
@click.argument("job_id", metavar="ID")
@click.option("-o", "--output", "to", type=TO, help=OUTPUT_HELP)
@talks
def unprocessed(api: Api, output: Output, job_id: str, to: str | None) -> None:
    """Download the rows that a stopped job has not come to, as CSV."""
    download(api, output, job_path(job_id, "unprocessed"), f"{job_id}-unprocessed.csv", to)


@command()
@click.argument("job_id", metavar="ID")
@click.option("-o", "--output", "to", type=TO, help=OUTPUT_HELP)
@talks
def result(api: Api, output: Output, job_id: str, to: str | None) -> None:
    """Download the file that a job has made."""
    download(api, output, job_path(job_id, "result"), f"{job_id}.csv", to)


def download(api: Api, output: Output, path: str, name: str, to: str | None) -> None:
    """Write what is at `path` to a file, or print it."""
    if to in (None, PRINTED):
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
    with open_bar(output, "download") as bar:
        written = write_file(api, path, FileTarget(file, api.url + path), file, bar.moved)
    told: dict[str, Any] = {"file": str(file), "bytes": written}
    if output.as_json:
        output.json(told)
    else:
        output.note(f"{file}: {written:,} bytes")


def write_file(api: Api, path: str, target: FileTarget, file: Path, moved: Callable[[int, int | None], None]) -> int:
    """Fetch what is at `path` into a file; returns its bytes. An error says how to go on with what has come."""
    try:
        return fetch(api, path, target, moved)
    except KeyboardInterrupt:
        raise Ended(Exit.INTERRUPTED, "The download was broken off.", hint=_kept(target, file)) from None
    except Ended as error:
        error.hint = _kept(target, file) or error.hint
        raise


def _kept(target: FileTarget, file: Path) -> str | None:
    if not target.position or target.etag is None:
        return None
    return f"What has come is kept in {file}.part: the same command goes on with it."


def check_place(to: str) -> None:
    """Say so at once if nothing can be written there, and not after somebody has waited for it."""
    folder = Path(to) if Path(to).is_dir() or to.endswith("/") else Path(to).parent
    if to != PRINTED and not folder.is_dir():
        raise Ended(Exit.ERROR, f"{to} can't be written: there is no directory {folder}")
