"""Exit codes, and the errors that end a command with one of them."""

from __future__ import annotations

import json
from enum import IntEnum
from typing import IO, Any

import click


class Exit(IntEnum):
    """What a command's end tells a script. 2 is click's own, for a command line that can't be understood."""

    OK = 0
    ERROR = 1
    USAGE = 2
    REFUSED_ROWS = 3
    FAILED = 4
    NOT_FOUND = 5
    REFUSED = 6
    UNREACHABLE = 7
    UNDER_WAY = 8
    INTERRUPTED = 130


MEANINGS = {
    Exit.OK: "it is done; with --no-wait: it is asked for",
    Exit.ERROR: "something on this side: a file that can't be read or written, a question answered with no",
    Exit.USAGE: "the command line is wrong: an option, a file's name, or a parameter that can't be used",
    Exit.REFUSED_ROWS: "the job has succeeded, but refused some rows; after a preview: it would",
    Exit.FAILED: "the job has failed or was terminated, or could not be rolled back; after a preview: it would fail",
    Exit.NOT_FOUND: "there is no such job, kind, action or file, or no longer",
    Exit.REFUSED: "refused: the file is no CSV, the job's state does not allow it, or the key is not let in",
    Exit.UNREACHABLE: "no service of jobsvc can be reached, or it can't answer at the moment",
    Exit.UNDER_WAY: "the time of --wait is over, and the jobs have not obeyed yet; they will",
    Exit.INTERRUPTED: "ended by Ctrl-C; what the service was asked to do goes on",
}


class Ended(click.ClickException):
    """The end of a command that did not go well: its reason on standard error, JSON if the command was asked for it."""

    def __init__(self, exit: Exit, message: str, status: int | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.exit_code = exit  # type: ignore[misc] # click sets it on classes, and reads it on instances
        self.status = status
        self.hint = hint
        """What to do about it, in a sentence."""
        self.as_json = False

    def representation(self) -> dict[str, Any]:
        hint = {} if self.hint is None else {"hint": self.hint}
        return {"error": self.message, **hint, "status": self.status, "exit": int(self.exit_code)}

    def show(self, file: IO[Any] | None = None) -> None:
        if self.as_json:
            click.echo(json.dumps(self.representation()), err=True)
            return
        # Ctrl-C is no error: somebody wanted it so.
        before = "" if self.exit_code == Exit.INTERRUPTED else "Error: "
        click.echo(f"{before}{self.message}", err=True)
        if self.hint is not None:
            click.echo(self.hint, err=True)
