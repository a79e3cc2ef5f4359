"""`jobsvc`: all commands together. Each is imported when it is used, so that a client needs nothing of the service."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from jobsvc.cli.client.exits import MEANINGS, Ended, Exit
from jobsvc.version import VERSION


@dataclass(frozen=True)
class Listed:
    """A command: where it is, and the line that the list of all commands has for it."""

    module: str
    name: str
    line: str


CLIENT = {
    "upload": Listed("client.creating", "upload", "Upload a file and start a job over its rows."),
    "preview": Listed("client.previewing", "preview", "Show how a file would be read, before it is uploaded."),
    "report": Listed("client.checking.reporting", "report", "Show what a job has found in its file, or would do."),
    "apply": Listed("client.checking.applying", "apply_it", "Start the job that does what a dry run has checked."),
    "export": Listed("client.downloads.exporting", "export", "Export what was made on some days to a CSV file."),
    "list": Listed("client.looking", "list_jobs", "List jobs, the newest first."),
    "show": Listed("client.looking", "show", "Show a job: its state, how far it is, what went wrong."),
    "watch": Listed("client.watching", "watch", "Follow a job until it has ended."),
    "pause": Listed("client.steering", "pause", "Pause jobs."),
    "resume": Listed("client.steering", "resume", "Have jobs go on."),
    "terminate": Listed("client.steering", "terminate", "Terminate jobs, and with --rollback remove what they made."),
    "rollback": Listed("client.steering", "rollback", "Remove what finished jobs have made."),
    "failed": Listed("client.downloads.downloading", "failed", "Download the rows that a job refused."),
    "unprocessed": Listed(
        "client.downloads.downloading", "unprocessed", "Download the rows that a job has not come to."
    ),
    "result": Listed("client.downloads.downloading", "result", "Download the file that a job has made."),
    "events": Listed("client.looking", "events", "Show a job's history."),
    "log": Listed("client.looking", "log", "Show what a job's runs and its kind have said."),
    "kinds": Listed("client.looking", "kinds", "List the kinds of job, or the parameters of one."),
    "audit": Listed("client.overseeing.audit", "audit", "Show who did what."),
    "workers": Listed("client.looking", "workers", "List the processes that run jobs."),
}
"""Commands that talk to a service, which may be on another machine."""

OPERATOR = {
    "serve": Listed("serve", "serve", "Run the service in the foreground."),
    "doctor": Listed("doctor.command", "doctor", "Say what is wrong with the service, and what to do."),
    "db": Listed("db", "db", "Upgrade the database, or back it up."),
    "files": Listed("files", "files", "Say whose files these are."),
    "keys": Listed("keys", "keys", "Make, list and revoke keys: who is let in."),
    "purge": Listed("purge", "purge", "Forget now what is past its time."),
    "worker": Listed("fleet", "worker", "Run jobs, as one of the fleet's workers."),
    "fleet": Listed("fleet", "fleet", "Run a whole fleet on this machine."),
}
"""Commands that work on the service itself, by its settings, on its machine."""

SECTIONS = {"Use a service": CLIENT, "Look after the service on this machine": OPERATOR}

COMMANDS = CLIENT | OPERATOR


class Lazy(click.Group):
    """A group that imports a command when it is used, and neither to list all nor to complete a name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        listed = COMMANDS[cmd_name]
        if cmd_name in OPERATOR and str(Path.cwd()) not in sys.path:
            # As `python -m jobsvc` has it: kinds of one's own may stand there.
            sys.path.insert(0, str(Path.cwd()))
        try:
            found = getattr(import_module(f"jobsvc.cli.{listed.module}"), listed.name)
        except ModuleNotFoundError as error:
            raise click.ClickException(
                f"{cmd_name} needs {error.name}, which is not installed here: pip install -r requirements.txt"
            ) from None
        assert isinstance(found, click.Command)
        return found

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Ended(Exit.INTERRUPTED, "Broken off.") from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, listed.line) for name, listed in commands.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(int(code)), meaning) for code, meaning in MEANINGS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        names = [
            CompletionItem(name, help=listed.line) for name, listed in COMMANDS.items() if name.startswith(incomplete)
        ]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]


@click.group(cls=Lazy, context_settings={"max_content_width": 100})
@click.version_option(VERSION, message="jobsvc %(version)s", help="Show the version of this command and exit.")
@click.pass_context
def main(context: click.Context) -> None:
    """Start jobs over CSV files, follow, stop and roll them back; and look after the service that runs them.

    Which service: --url or JOBSVC_URL, and --key or JOBSVC_API_KEY, after any of the
    commands that use one. `jobsvc COMMAND --help` tells of each.
    """
    if os.environ.get("NO_COLOR"):
        # https://no-color.org; rich heeds it by itself.
        context.color = False
