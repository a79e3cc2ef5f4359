"""`python -m jobsvc keys`: who is let in."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from datetime import UTC, datetime

import click

from jobsvc.access import expiry
from jobsvc.access.roles import Role
from jobsvc.cli.context import existing, load_settings
from jobsvc.clock import now
from jobsvc.jobs.errors import InvalidParameter
from jobsvc.kinds.registry import load_kinds
from jobsvc.service.callers.keys import ApiKey, Keys, NewApiKey, UnknownKey
from jobsvc.settings import Settings
from jobsvc.store.database import Database


@click.group()
def keys() -> None:
    """Make, list and revoke keys. Once there is one, nobody gets in without."""


def _keys(settings: Settings, database: Database) -> Keys:
    return Keys(database, settings.api_keys, now, lambda _: None)


@keys.command()
@click.argument("user")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    required=True,
    help="viewer: looks at all jobs; user: starts and steers their own; operator: steers all; admin: makes keys, too.",
)
@click.option(
    "--kind", "kinds", multiple=True, metavar="KIND", help="A kind of job that it may start; all, if none is given."
)
@click.option("--expires", metavar="DATE", help="The last day of the key, YYYY-MM-DD (UTC), or a moment in ISO 8601.")
def create(user: str, role: str, kinds: tuple[str, ...], expires: str | None) -> None:
    """Make a key for USER, whose name begins the ids of their jobs. It is shown once, and stored nowhere."""
    settings = load_settings()
    known = load_kinds(settings.kinds)
    for kind in kinds:
        if kind not in known:
            raise click.UsageError(f"--kind: there is no kind {kind!r}; there are {', '.join(sorted(known))}")
    try:
        new = NewApiKey(user, Role(role), kinds or None, None if expires is None else expiry.read(expires))
    except ValueError as error:
        raise click.UsageError(f"--expires: {error}") from None
    with existing(settings) as database:
        try:
            made = _keys(settings, database).create(new, by=_operator())
        except InvalidParameter as error:
            raise click.UsageError(error.message) from None
    click.echo(
        f"the key {made.key.id} lets {user} in as {role}{_until(made.key)}; keep it, it is not shown again:", err=True
    )
    click.echo(made.text)


def _operator() -> str:
    """Who is at the command line: no user of the service, whose names have no spaces."""
    return f"{getpass.getuser()} on this machine"


def _until(key: ApiKey) -> str:
    return "" if key.expires_at is None else f" until {_moment(key.expires_at)}"


@keys.command("list")
def list_keys() -> None:
    """List all keys, the oldest first, without their secrets."""
    settings = load_settings()
    with existing(settings) as database:
        found = _keys(settings, database).every()
    rows: list[tuple[str, ...]] = [("KEY", "USER", "ROLE", "KINDS", "MADE", "LAST USED", "STANDS")]
    rows += [
        (f"JOBSVC_API_KEYS:{key.user}", key.user, key.role, "all", "", "", "good") for key in settings.api_keys.keys
    ]
    rows += [_row(key) for key in found]
    if len(rows) == 1:
        click.echo("there are no keys: everybody who reaches the service may do everything")
        return
    _print(rows)


def _row(key: ApiKey) -> tuple[str, ...]:
    stands = "good" if key.expires_at is None else f"good until {_moment(key.expires_at)}"
    if key.revoked_at is not None:
        stands = f"revoked {_moment(key.revoked_at)}"
    elif key.expires_at is not None and key.expires_at <= now():
        stands = f"expired {_moment(key.expires_at)}"
    kinds = "all" if key.kinds is None else ", ".join(key.kinds)
    used = "never" if key.last_used_at is None else _moment(key.last_used_at)
    return key.id, key.user, key.role, kinds, _moment(key.created_at), used, stands


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _print(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@keys.command()
@click.argument("key_ids", nargs=-1, required=True, metavar="KEY...")
def revoke(key_ids: tuple[str, ...]) -> None:
    """Let nobody in any more with these keys. KEY is what `list` shows, never the secret."""
    settings = load_settings()
    with existing(settings) as database:
        for key_id in key_ids:
            try:
                key = _keys(settings, database).revoke(key_id, by=_operator())
            except UnknownKey as error:
                raise click.ClickException(f"{error}; `python -m jobsvc keys list` shows them") from None
            click.echo(f"the key {key.id} of {key.user} lets nobody in any more")
