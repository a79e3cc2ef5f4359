"""Processes of the service, from their own command; those of the tests are forked from one that has loaded the code."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Protocol

from tests.support.programs.forked import MESSAGE_BYTES

ROOT = Path(__file__).parents[2]
"""Where the project is."""

LOAD_SECONDS = 60.0


_forking: list[Forking] = []


class Process(Protocol):
    """What `subprocess.Popen` has."""

    pid: int

    @property
    def returncode(self) -> int | None: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, sig: int, /) -> None: ...

    def kill(self) -> None: ...


def start(command: Sequence[str], environ: Mapping[str, str], log: IO[bytes]) -> Process:
    """Start a command in the project's directory, in a process group of its own; what it prints goes to `log`."""
    if _forking and command[:2] == [sys.executable, "-m"] and _interpreter(environ) == _interpreter(os.environ):
        return _forking[0].start(command[2:], environ, log, log)
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environ,
        stdout=log,
        stderr=log,
        start_new_session=True,
        preexec_fn=heed_interrupts,  # noqa: PLW1509 (it takes no lock)
    )


def run(
    module: str, *arguments: str, environ: Mapping[str, str], directory: Path = ROOT, seconds: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """Run one of the project's modules to its end, in any directory. Raises TimeoutExpired."""
    words = [module, *arguments]
    if not _forking or _interpreter(environ) != _interpreter(os.environ):
        return subprocess.run(
            [sys.executable, "-m", *words],
            cwd=directory,
            env={**environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=seconds,
            preexec_fn=heed_interrupts,
            check=False,
        )
    with TemporaryFile("w+") as out, TemporaryFile("w+") as err:
        process = _forking[0].start(words, environ, out, err, directory)
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return subprocess.CompletedProcess(words, code, _whole(out), _whole(err))


def _whole(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


def heed_interrupts() -> None:
    """Shells start background commands with SIGINT ignored, and so would be what the tests start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def forked() -> Iterator[None]:
    """Until the end, Python's modules are started by forking. Only their libraries, and the service's own code but what
    looks at the environment when it is loaded, are there already: all else is as if each was started by its command."""
    forking = Forking()
    _forking.append(forking)
    try:
        yield
    finally:
        _forking.remove(forking)
        forking.close()


def are_forked() -> bool:
    """Whether what is started now saves the time to load the code."""
    return bool(_forking)


@contextmanager
def by_command() -> Iterator[None]:
    """Within `forked`: until the end, what is started is started by its command."""
    kept = list(_forking)
    _forking.clear()
    try:
        yield
    finally:
        _forking.extend(kept)


def _interpreter(environ: Mapping[str, str]) -> dict[str, str]:
    """What Python looks at before a module can be run."""
    return {name: text for name, text in environ.items() if name.startswith(("PYTHON", "LD_"))}


class Forking:
    """The process that others are forked from. It begins with the first of them, and ends with this one."""

    def __init__(self) -> None:
        self._orders: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(
        self, words: Sequence[str], environ: Mapping[str, str], out: IO[Any], err: IO[Any], directory: Path = ROOT
    ) -> Forked:
        """`words`: the module's name, and its arguments; `out` and `err`: where it prints."""
        order = {"module": words[0], "arguments": words[1:], "directory": str(directory), "environ": dict(environ)}
        message = json.dumps(order).encode()
        assert len(message) <= MESSAGE_BYTES
        news, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            socket.send_fds(self._begun(), [message], [out.fileno(), err.fileno(), theirs.fileno()])
        return Forked(news)

    def _begun(self) -> socket.socket:
        if self._orders is None:
            self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "tests.support.programs.forked", str(theirs.fileno())],
                    cwd=ROOT,
                    stdin=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
        return self._orders

    def close(self) -> None:
        if self._orders is not None and self._process is not None:
            self._orders.close()
            self._process.wait(LOAD_SECONDS)


class Forked:
    """A process that was forked. Safe to share among threads."""

    def __init__(self, news: socket.socket) -> None:
        """`news` tells the process's number, and later its exit code."""
        self._news = news
        news.settimeout(LOAD_SECONDS)
        self.pid = int(news.recv(100))

    @property
    def returncode(self) -> int | None:
        return self.poll()

    def poll(self) -> int | None:
        return self._code(0)

    def wait(self, timeout: float | None = None) -> int:
        """Raises TimeoutExpired after so many seconds."""
        code = self._code(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        return code

    def _code(self, seconds: float | None) -> int | None:
        ended = select.poll()
        ended.register(self._news, select.POLLIN)
        if not ended.poll(None if seconds is None else max(0, seconds) * 1000):
            return None
        # It stays there for whoever asks again.
        told = self._news.recv(100, socket.MSG_PEEK)
        assert told, f"the process that process {self.pid} was forked from is gone"
        return int(told)

    def send_signal(self, sig: int, /) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def __del__(self) -> None:
        self._news.close()
