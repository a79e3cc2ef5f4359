"""What it means that a connection could not be accepted."""

from __future__ import annotations

import errno

NO_ROOM = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
"""The system has no descriptor or no memory for it: it is still there to be accepted."""

GONE = {
    getattr(errno, name)
    for name in (
        *("EAGAIN", "EWOULDBLOCK", "ECONNABORTED", "EPERM", "ENETDOWN", "EPROTO", "ENOPROTOOPT"),
        *("EHOSTDOWN", "ENONET", "EHOSTUNREACH", "EOPNOTSUPP", "ENETUNREACH"),
    )
    if hasattr(errno, name)
}
"""There is no connection to accept. Linux tells errors of the network by the `accept` of the connection that has
them (accept(2))."""
