"""A shell on a terminal, in which the commands of a page are run one after the other."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from time import monotonic

from tests.support.terminal import COLUMNS, seen

SECONDS = 120.0
"""For each command."""


@dataclass(frozen=True)
class Done:
    printed: str
    exit: int


class Session:
    """One bash: variables, the directory and `$?` stay from one command to the next.

    What commands print goes to a terminal, as that of a person; they are typed where no program sees them.
    """

    def __init__(self, directory: Path, environ: Mapping[str, str]) -> None:
        self._terminal, inside = pty.openpty()
        # No `\r` before each `\n`, and a width.
        attributes = termios.tcgetattr(inside)
        attributes[1] &= ~termios.OPOST
        termios.tcsetattr(inside, termios.TCSANOW, attributes)
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
        self._bash = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            cwd=directory,
            env={"TERM": "xterm", **environ},
            stdin=subprocess.PIPE,
            stdout=inside,
            stderr=inside,
            start_new_session=True,
        )
        os.close(inside)
        self._type("code=0")

    def run(self, command: str) -> Done:
        """Run a command of one or more lines, and wait for its end."""
        mark = token_hex(8)
        self._type(f"(exit $code)\n{{ {command}\n}} < /dev/null; code=$?; printf '\\n%s %s\\n' {mark} $code")
        written = self._read_to(re.compile(rf"\n{mark} (\d+)\n"), command)
        printed, code, _ = written
        return Done(seen(printed), int(code))

    def close(self) -> None:
        os.killpg(self._bash.pid, signal.SIGKILL)
        self._bash.communicate()
        os.close(self._terminal)

    def _type(self, text: str) -> None:
        assert self._bash.stdin is not None
        self._bash.stdin.write(f"{text}\n".encode())
        self._bash.stdin.flush()

    def _read_to(self, end: re.Pattern[str], command: str) -> list[str]:
        written, until = b"", monotonic() + SECONDS
        while True:
            found = end.split(written.decode(errors="replace"))
            if len(found) == 3:
                return found
            ready, _, _ = select.select([self._terminal], [], [], max(0.0, until - monotonic()))
            assert ready, f"{command!r} did not end within {SECONDS:.0f} s; it printed\n{seen(written.decode())}"
            written += os.read(self._terminal, 65536)
