"""The command: all that it looks at, one after the other."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import click

from jobsvc.cli.client.address import VARIABLE
from jobsvc.cli.client.talking import named
from jobsvc.cli.doctor.finding import Finding, Mark, note
from jobsvc.cli.doctor.of_database import database
from jobsvc.cli.doctor.of_files import disks, files
from jobsvc.cli.doctor.of_place import data, place
from jobsvc.cli.doctor.of_process import Named, process
from jobsvc.cli.doctor.of_settings import settings
from jobsvc.cli.doctor.of_versions import versions

COLOURS = {Mark.GOOD: "green", Mark.NOTE: "yellow", Mark.WRONG: "red"}


@click.command()
@click.option("--url", envvar=VARIABLE, show_envvar=True, help="Look at the service that answers there, too.")
@click.option("--key", envvar="JOBSVC_API_KEY", show_envvar=True, help="The key to be let in there with.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def doctor(url: str | None, key: str | None, as_json: bool) -> None:
    """Look at versions, settings, database, files, disks and lock: what is wrong, and what to do.

    It looks at the service whose settings and data are in this directory: run it where the
    service runs. It makes no file and changes no job, also beside a service that runs. The
    exit code is 1 if something is wrong.
    """
    elsewhere = Named(named(url), key) if url else None
    found = []
    for finding in _all(elsewhere, key):
        found.append(finding)
        if not as_json:
            _tell(finding)
    fine = all(finding.mark is not Mark.WRONG for finding in found)
    if as_json:
        click.echo(json.dumps({"ok": fine, "findings": [finding.representation() for finding in found]}))
    if not fine:
        sys.exit(1)


def _all(elsewhere: Named | None, key: str | None) -> Iterator[Finding]:
    yield place()
    yield from versions()
    found, loaded = settings()
    yield from found
    if loaded is None:
        yield note("settings", "nothing else can be looked at before the settings can be read")
        return
    yield data(loaded)
    found, opened = database(loaded)
    yield from found
    try:
        yield files(loaded, opened)
    finally:
        if opened is not None:
            opened.close()
    yield from disks(loaded)
    yield from process(loaded, elsewhere, key)


def _tell(finding: Finding) -> None:
    mark = click.style(f"{finding.mark:5}", fg=COLOURS[finding.mark])
    click.echo(f"{mark} {finding.subject:8} {finding.told}")
    if finding.todo is not None:
        click.echo(f"{'':14} -> {finding.todo}")
