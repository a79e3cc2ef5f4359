"""Whether a port is free, and if it is not, who has it."""

from __future__ import annotations

import errno
import re
import socket
from pathlib import Path

PROC = Path("/proc")

LISTENS = "0A"
"""The state of a socket that listens, in Linux's tables."""

MAX_COMMAND = 100
"""Characters of a command line that are shown."""

TAKEN = "Is it the service already? Stop it, or set another port, as in PORT=9000 jobsvc serve"


def fault_of(host: str, port: int) -> str | None:
    """Why nobody could listen there at this moment, and what to do; None if somebody could."""
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as probe:
            # As servers do: what a connection leaves of itself for a minute is in nobody's way.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except socket.gaierror:
        return "there is no host of this name; set HOST right"
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return f"{holder_of(port) or 'another program'} listens there. {TAKEN}"
        told = {errno.EACCES: "this user may not; set PORT to 1024 or more"}
        told[errno.EADDRNOTAVAIL] = "it is no address of this machine; set HOST right"
        return told.get(error.errno or 0, error.strerror)
    return None


def holder_of(port: int) -> str | None:
    """The process that listens on a port; None if Linux does not tell, or not this user."""
    sockets = {f"socket:[{inode}]" for table in ("tcp", "tcp6") for inode in _listening(PROC / "net" / table, port)}
    # A server's workers have its socket too. The oldest of them is the one to be stopped.
    for process in sorted(PROC.glob("[0-9]*"), key=lambda path: int(path.name)):
        try:
            if any(str(descriptor.readlink()) in sockets for descriptor in (process / "fd").iterdir()):
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                return f"process {process.name} ({command[:MAX_COMMAND]})"
        except OSError:
            # It has ended, or is another user's.
            continue
    return None


def _listening(table: Path, port: int) -> list[str]:
    """The numbers of the sockets that listen on a port."""
    try:
        rows = [line.split() for line in table.read_text().splitlines()[1:]]
    except OSError:
        return []
    return [row[9] for row in rows if row[3] == LISTENS and re.search(f":{port:04X}$", row[1])]
