"""A command on a terminal: what it shows there, and what one types."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import termios
from pathlib import Path
from types import TracebackType

from tests.support.processes import ROOT
from tests.support.shell import client_environ
from tests.support.waiting import TIMEOUT, poll

CTRL_C = b"\x03"
ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")


class OnTerminal:
    """A command whose input and outputs are a terminal of so many columns."""

    def __init__(self, url: str, *args: str, columns: int = 100, cwd: Path = ROOT, **environ: str) -> None:
        self._mine, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, columns))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jobsvc", *args],
            cwd=cwd,
            # Their width is the terminal's own.
            env={
                **{name: text for name, text in client_environ().items() if name not in ("COLUMNS", "LINES")},
                "JOBSVC_URL": url,
                "TERM": "xterm",
                "PYTHONPATH": str(ROOT),
                **environ,
            },
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=_controlled,  # noqa: PLW1509 (it takes no lock)
        )
        os.close(theirs)
        self.raw = b""

    def __enter__(self) -> OnTerminal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._mine)

    @property
    def shown(self) -> str:
        """What has been shown so far, without colours."""
        return ESCAPES.sub(b"", self.raw).decode().replace("\r\n", "\n")

    def read_until(self, text: str) -> None:
        """Wait until this is shown."""
        while text not in self.shown:
            data = self._read()
            assert data, f"the command ended without {text!r}: {self.shown}"

    def type(self, data: bytes) -> None:
        os.write(self._mine, data)

    def break_off(self) -> None:
        """Type Ctrl-C at a question: once the command reads the answer.

        Python does not heed a signal that comes between the question and the reading of its answer, until a key is hit.
        """
        state = Path(f"/proc/{self.process.pid}/stat")
        poll(lambda: state.read_text().rpartition(")")[2].split()[0] == "S", TIMEOUT, "the answer to be read")
        self.type(CTRL_C)

    def end(self) -> int:
        """Wait for the end; returns the exit code."""
        while self._read():
            pass
        return self.process.wait(TIMEOUT)

    def _read(self) -> bytes:
        ready, _, _ = select.select([self._mine], [], [], TIMEOUT)
        assert ready, f"nothing more was shown for {TIMEOUT} s: {self.shown}"
        try:
            data = os.read(self._mine, 65536)
        except OSError:
            # Nobody has the other side any more.
            data = b""
        self.raw += data
        return data


def _controlled() -> None:
    """Ctrl-C on the terminal is for this process."""
    import fcntl  # noqa: PLC0415
    import signal  # noqa: PLC0415

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
