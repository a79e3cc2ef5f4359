"""`python -m jobsvc purge`: forgetting what is past its time."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import click

from jobsvc.cli.context import existing, kinds_taking_files, load_settings
from jobsvc.clock import now
from jobsvc.files.belonging import settle
from jobsvc.files.open_files import open_files
from jobsvc.service.retention import Retention, RetentionPolicy, Swept
from jobsvc.settings import Settings
from jobsvc.store import clock
from jobsvc.store.errors import FilesDown

DAYS = click.FloatRange(0, 100_000)


@click.command()
@click.option("--finished-days", type=DAYS, help="Instead of JOBSVC_KEEP_FINISHED_DAYS; 0: forget no job.")
@click.option(
    "--files-days", type=DAYS, help="Instead of JOBSVC_KEEP_FILES_DAYS; 0: remove no files of jobs that stay."
)
@click.option("--audit-days", type=DAYS, help="Instead of JOBSVC_KEEP_AUDIT_DAYS; 0: remove no line of the audit.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
def purge(finished_days: float | None, files_days: float | None, audit_days: float | None, dry_run: bool) -> None:
    """Forget now what is past its time, as the service does every hour. It may be running meanwhile."""
    settings = load_settings()
    if finished_days is not None:
        settings = replace(settings, keep_finished_days=finished_days)
    if files_days is not None:
        settings = replace(settings, keep_files_days=files_days)
    if audit_days is not None:
        settings = replace(settings, keep_audit_days=audit_days)
    try:
        with existing(settings) as database:
            files = open_files(settings)
            settle(database, files, kinds_taking_files(settings), dry=dry_run)
            retention = Retention(database, files, RetentionPolicy.of(settings), partial(clock.read, own=now))
            swept = retention.preview() if dry_run else retention.sweep()
    except FilesDown as error:
        raise click.ClickException(f"not everything could be forgotten: {error}") from None
    for line in _told(swept, settings, dry_run):
        click.echo(line)


def _told(swept: Swept, settings: Settings, dry_run: bool) -> list[str]:
    forgot, removed = ("would forget", "would remove") if dry_run else ("forgot", "removed")
    return [
        f"{forgot} {swept.jobs} jobs that had finished more than {settings.keep_finished_days:g} days ago"
        if settings.keep_finished_days
        else f"{forgot} no job: they are kept for ever",
        f"{removed} the files of {swept.files} jobs that had finished more than {settings.keep_files_days:g} days ago"
        if settings.keep_files_days
        else f"{removed} no files of jobs that stay: they are kept for as long",
        f"{forgot} {swept.keys} idempotency keys that are older than {settings.idempotency_hours:g} hours",
        f"{removed} {swept.lines} lines of the audit that are older than {settings.keep_audit_days:g} days"
        if settings.keep_audit_days
        else f"{removed} no line of the audit: they are kept for ever",
    ]
