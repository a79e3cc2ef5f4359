"""`audit`: who did what."""

from __future__ import annotations

from typing import Any

import click

from jobsvc.access.acts import Act, Outcome
from jobsvc.cli.client.api import Api
from jobsvc.cli.client.output import Output
from jobsvc.cli.client.talking import command, talks

WITH_REASON = frozenset({Outcome.REFUSED, Outcome.FAILED})
"""Outcomes of which the answer's status says more."""

ACTS = click.Choice([str(act) for act in Act])


@command()
@click.option("--user", help="Only what this user did.")
@click.option("--action", type=ACTS, metavar="ACTION", help="Only what is called so, such as job.pause or enter.")
@click.option("--target", metavar="ID", help="Only what was done to this job, action or key.")
@click.option(
    "--limit", type=click.IntRange(1), metavar="N", default=100, show_default=True, help="How many lines at most."
)
@talks
def audit(api: Api, output: Output, user: str | None, action: str | None, target: str | None, limit: int) -> None:
    """Show who did what, from where, with what outcome, the newest first. It needs the key of an admin."""
    lines, after = api.newest("/audit", "lines", limit, {"user": user, "action": action, "target": target})
    if output.as_json:
        output.json({"lines": lines, "next": after})
        return
    output.table(("at", "user", "action", "outcome", "times", "from", "key", "target"), map(_audit_row, lines))
    if after is not None:
        output.note(f"There are more than these {len(lines)}: --limit, or narrow it by --user, --action and --target.")


def _audit_row(line: dict[str, Any]) -> tuple[Any, ...]:
    why = [str(line[name]) for name in ("status", "problem") if line["outcome"] in WITH_REASON and line[name]]
    outcome = " ".join([line["outcome"], *why])
    names = ("times", "address", "key_id", "target")
    return (line["at"], line["user"], line["action"], outcome, *(line[name] for name in names))
