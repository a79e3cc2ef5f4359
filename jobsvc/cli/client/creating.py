"""`upload`: a new job over a file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import click

from jobsvc.cli.client.api import Api, kind_path
from jobsvc.cli.client.bars import Bar, open_bar
from jobsvc.cli.client.exits import Ended, Exit
from jobsvc.cli.client.output import Output
from jobsvc.cli.client.talking import command, talks
from jobsvc.cli.client.watching import end_with, tell_end, watched

PIECE_BYTES = 256 * 1024
"""How much of a file is held in memory."""


def _parameter(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for text in given:
        name, separator, value = text.partition("=")
        if not name or not separator:
            raise click.BadParameter(f"{text!r} must be of the form name=value")
        if name in dict(found):
            raise click.BadParameter(f"{name} is given twice")
        found.append((name, value))
    return found


FILE = click.argument(
    "path", metavar="FILE", type=click.Path(exists=True, dir_okay=False, readable=True, allow_dash=True)
)
KIND = click.option("--kind", help="What is to be done with the rows; see `jobsvc kinds`.  [default: baselineCSV]")
PARAMS = click.option(
    "-p",
    "--param",
    "params",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_parameter,
    help="A parameter of the job, as often as needed; see `jobsvc kinds KIND`.",
)
"""What a command takes that reads a file as a job would."""

PRIORITY = click.option(
    "--priority",
    type=click.Choice(["low", "normal", "high"]),
    help="Which of the queued jobs go first; a high one takes the slot of a lower one.  [default: normal]",
)


@command()
@FILE
@KIND
@PARAMS
@PRIORITY
@click.option("--watch", is_flag=True, help="Follow the job until it has ended; the exit code says how.")
@talks
def upload(
    api: Api,
    output: Output,
    path: str,
    kind: str | None,
    params: list[tuple[str, str]],
    priority: str | None,
    watch: bool,
) -> None:
    """Upload FILE and start a job over its rows; print the job's id. `-` reads standard input."""
    if priority is not None:
        params = [*params, ("priority", priority)]
    # Before the file is sent, which may take long.
    if kind is not None and not api.get(kind_path(kind), has="takes_file")["takes_file"]:
        raise Ended(Exit.USAGE, f"jobs of {kind} take no file")
    route, has = ("/uploadCSV", "Job ID") if kind is None else (kind_path(kind, "jobs"), "id")
    headers = {"Content-Type": "application/octet-stream"}
    if path != "-":
        headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(Path(path).name)}"
    try:
        with click.open_file(path, "rb") as file, open_bar(output, "upload") as bar:
            size, before = size_of(file), _version(file)
            if size is not None:
                headers["Content-Length"] = str(size)
            if size == 0:
                raise Ended(Exit.REFUSED, f"{path} is empty: no job was made")
            pieces = _pieces(file, size, bar, "standard input" if path == "-" else path)
            answer = api.put(route, params, headers, pieces, has=has)
            changed = size is not None and _version(file) != before
    except KeyboardInterrupt:
        raise Ended(Exit.INTERRUPTED, "The upload was broken off: no job was made") from None
    if changed:
        output.note(
            f"warning: {path} changed while it was sent: what was uploaded may be neither the old nor the new one"
        )
    job = told_and_watched(api, output, answer, watch=watch)
    if job is not None:
        end_with(job)


def size_of(file: IO[bytes]) -> int | None:
    """What is left of a file, in bytes; None of a pipe, which nobody knows."""
    try:
        found = os.fstat(file.fileno())
    except OSError:
        return None
    return found.st_size - file.tell() if stat.S_ISREG(found.st_mode) else None


def _version(file: IO[bytes]) -> tuple[int, int] | None:
    """What differs once somebody has written to a file; None if it can't be told."""
    try:
        found = os.fstat(file.fileno())
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _pieces(file: IO[bytes], size: int | None, bar: Bar, name: str) -> Iterator[bytes]:
    sent = 0
    while size is None or sent < size:
        try:
            data = file.read(PIECE_BYTES if size is None else min(PIECE_BYTES, size - sent))
        except OSError as error:
            raise Ended(Exit.ERROR, f"the file can't be read: {error.strerror or error}") from None
        if not data and size is not None:
            raise Ended(Exit.ERROR, "the file became shorter while it was sent: no job was made")
        if not data and not sent:
            raise Ended(Exit.REFUSED, f"{name} is empty: no job was made")
        if not data:
            break
        yield data
        sent += len(data)
        bar.moved(sent, size)


def told_and_watched(
    api: Api, output: Output, created: dict[str, Any], *, watch: bool, later: str | None = None, quiet: bool = False
) -> dict[str, Any] | None:
    """Print the new job. If it is to be watched, follow it, and return it as it has ended.

    `later`: see `watched`. `quiet`: standard output is for something else.
    """
    # The routes of the original answer with an id alone.
    job_id = created.get("Job ID") or created["id"]
    if quiet:
        output = Output(output.as_json, to_stderr=True)
    if not output.as_json:
        output.line(job_id)
    elif not watch:
        output.json(api.job(job_id))
    if not watch:
        return None
    job = watched(api, output, job_id, later)
    tell_end(api, output, job)
    return job
