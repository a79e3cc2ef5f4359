"""One POST to a webhook's URL: to an address that was checked, within a bound, following nothing."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from threading import Lock

from jobsvc.webhooks.address import PORTS, Target, parse, resolve

TIMEOUT_SECONDS = 10.0
"""For the connection, and for each wait for the receiver."""

MAX_ANSWER_BYTES = 64 * 1024


class Aborted(OSError):
    """The time for all of it was over, or the service is stopping."""


class Post:
    """A request that another thread can end. `_lock` guards `_socket` and `_aborted`; no I/O happens under it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._socket: socket.socket | None = None
        self._aborted = False

    def send(
        self, url: str, body: bytes, headers: Mapping[str, str], tls: ssl.SSLContext, *, allow_private: bool
    ) -> int:
        """Send the request and return the answer's status. The answer's body is dropped.

        Raises AddressRefused if it may not go there, and OSError or HTTPException if no answer came.
        """
        target = parse(url)
        connection = HTTPConnection(target.host, target.port)
        # The Host header leaves out the port only if it is the scheme's own.
        connection.default_port = PORTS[target.scheme]
        connection.auto_open = 0
        try:
            connection.sock = self._connect(target, allow_private)
            if target.scheme == "https":
                connection.sock = self._secure(connection.sock, target.host, tls)
            connection.request("POST", target.path, body, dict(headers))
            response = connection.getresponse()
            with contextlib.suppress(OSError, HTTPException):
                response.read(MAX_ANSWER_BYTES)
        except (OSError, HTTPException) as error:
            self._check_aborted(error)
            raise
        finally:
            self._hold(None)
            connection.close()
        return response.status

    def abort(self) -> None:
        """Make `send` fail now, if it has a connection, or as soon as it gets one."""
        with self._lock:
            self._aborted = True
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    # Not the method of an SSL socket: that would change what the sending thread reads from.
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def _connect(self, target: Target, allow_private: bool) -> socket.socket:
        """A connection to one of the addresses that were checked; the name is not asked for again."""
        addresses = resolve(target, allow_private=allow_private)
        for address in addresses[:-1]:
            with contextlib.suppress(OSError):
                return self._connect_to(address, target.port)
        return self._connect_to(addresses[-1], target.port)

    def _connect_to(self, address: str, port: int) -> socket.socket:
        connected = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        try:
            connected.settimeout(TIMEOUT_SECONDS)
            self._hold(connected)
            self._check_aborted(None)
            connected.connect((address, port))
            self._check_aborted(None)
        except BaseException:
            self._hold(None)
            connected.close()
            raise
        return connected

    def _secure(self, connected: socket.socket, host: str, tls: ssl.SSLContext) -> ssl.SSLSocket:
        """Speak TLS on a connection, with a receiver that proves to be `host`."""
        secured = tls.wrap_socket(connected, server_hostname=host, do_handshake_on_connect=False)
        try:
            # From here on the connection is the new socket's, and the old one an empty shell.
            self._hold(secured)
            self._check_aborted(None)
            secured.do_handshake()
        except BaseException:
            self._hold(None)
            secured.close()
            raise
        return secured

    def _check_aborted(self, cause: Exception | None) -> None:
        with self._lock:
            if self._aborted:
                raise Aborted("no complete answer within the time for it") from cause

    def _hold(self, held: socket.socket | None) -> None:
        """The socket that `abort` breaks; None when it is about to be closed, since its number may soon be
        another's."""
        with self._lock:
            self._socket = held
