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
    INTERRUPTED = 130


MEANINGS = {
    Exit.OK: "it is done",
    Exit.ERROR: "something on this side: a file that can't be written, a question answered with no",
    Exit.USAGE: "the command line is wrong",
    Exit.REFUSED_ROWS: "the job has succeeded, but refused some rows; after a preview: it would",
    Exit.FAILED: "the job has failed or was terminated; after a preview: it would fail",
    Exit.NOT_FOUND: "there is no such job, kind or file",
    Exit.REFUSED: "the service refused the request, or the job's state does not allow it",
    Exit.UNREACHABLE: "the service can't be reached, or can't answer at the moment",
    Exit.INTERRUPTED: "ended by Ctrl-C; a job that was watched goes on",
}


class Ended(click.ClickException):
    """The end of a command that did not go well: one line on standard error, JSON if the command was asked for it."""

    def __init__(self, exit: Exit, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.exit_code = exit  # type: ignore[misc] # click sets it on classes, and reads it on instances
        self.status = status
        self.as_json = False

    def representation(self) -> dict[str, Any]:
        return {"error": self.message, "status": self.status, "exit": int(self.exit_code)}

    def show(self, file: IO[Any] | None = None) -> None:
        if self.as_json:
            click.echo(json.dumps(self.representation()), err=True)
        elif self.exit_code == Exit.INTERRUPTED:
            # Somebody wanted it so.
            click.echo(self.message, err=True)
        else:
            click.echo(f"Error: {self.message}", err=True)
