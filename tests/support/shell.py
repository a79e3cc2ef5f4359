"""The command line, as a shell uses it: in this process, where nothing has to be interrupted or measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from click.testing import CliRunner

from jobsvc.cli.main import main
from tests.support.processes import ROOT, heed_interrupts


@dataclass(frozen=True)
class Said:
    """What a command has printed, and how it ended."""

    exit: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def json(self) -> Any:
        """What it printed, if that is one line of JSON."""
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """The last line of standard error, if that is JSON."""
        return json.loads(self.err.splitlines()[-1])


def jobsvc(url: str, *args: str, stdin: bytes | str | None = None, **environ: str) -> Said:
    """Run a command for the service at `url`."""
    done = CliRunner().invoke(main, args, input=stdin, env={"JOBSVC_URL": url, **environ}, prog_name="jobsvc")
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Said(done.exit_code, done.stdout, done.stderr)


def start(url: str, *args: str, **more: Any) -> subprocess.Popen[str]:
    """Start a command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "jobsvc", *args],
        cwd=ROOT,
        env=client_environ(JOBSVC_URL=url),
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,  # noqa: PLW1509 (it takes no lock)
        **{"stdout": subprocess.PIPE, **more},
    )


def client_environ(**more: str) -> Mapping[str, str]:
    """The environment, without settings of a service."""
    return {**{name: text for name, text in os.environ.items() if not name.startswith("JOBSVC_")}, **more}
