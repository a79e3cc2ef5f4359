"""Sending an answer: a small one is collected and never waits for the client, a large one takes a slot."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

from gunicorn.http.wsgi import Response  # type: ignore[import-untyped]

from jobsvc.process.http.application_errors import ApplicationFault, pieces_of_application
from jobsvc.process.http.connection import Connection, is_unread
from jobsvc.process.http.transfer_slots import RETRY_SECONDS, SMALL_BYTES, TransferSlots, refusal_body

FOR_BROWSERS = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""The headers that tell a browser what it may do with an answer of the server's own; as the application's have them."""

ALWAYS = ("X-Request-ID", "Strict-Transport-Security", *FOR_BROWSERS)
"""Headers of the application's answer that another answer in its place has, too."""

ONLY_READ = ("GET", "HEAD")
"""Methods that change nothing, so that it is true to say so."""


class Answer(Response):  # type: ignore[misc]
    """Says `Connection: close` where the body of its request was not read to the end."""

    response_length: int | None
    sent: int
    sent_by_system = False
    """Whether the file that it is was sent by the system, past `sent`."""

    def send_headers(self) -> None:
        if not self.headers_sent and is_unread(self.req):
            self.force_close()
        super().send_headers()

    def send(self, pieces: Iterable[bytes], conn: Connection, slots: TransferSlots, *, is_file: bool) -> None:
        """Send the answer that the application has begun; `is_file` says that `pieces` is the server's file wrapper.

        Where it is large and no slot is free, a 503 is sent in place of what was only read; the
        answer to what may have changed something is kept in memory, whatever its size. Raises
        ClientTooSlow, OSError of the client's socket, ApplicationFault, and what else `pieces` raises.
        """
        if self._omits_body:
            self.close()
            return
        iterator = pieces_of_application(pieces)
        first: list[bytes] = []
        if not self._is_large(iterator, first):
            self._send_at_once(first)
        elif conn.has_slot or slots.take():
            conn.has_slot = True
            conn.sock.stream()
            if is_file and not first:
                self.write_file(pieces)
            else:
                for piece in chain(first, iterator):
                    self.write(piece)
            self._check_length()
        elif self.req.method in ONLY_READ:
            self._refuse(slots)
        else:
            self._send_at_once([*first, *iterator])
        self.close()
        if conn.sock.streams:
            conn.sock.end_stream()

    def _send_at_once(self, pieces: list[bytes]) -> None:
        """Nothing goes out before all of it is there, so that an error before that still becomes a 500."""
        if self.response_length is None and not self.chunked:
            # Otherwise the end of the connection would be the end of the answer, and can come too early.
            self.response_length = sum(map(len, pieces))
            self.headers.append(("Content-Length", str(self.response_length)))
        for piece in pieces:
            self.write(piece)
        self._check_length()

    def sendfile(self, respiter: Any) -> bool:
        self.sent_by_system = bool(super().sendfile(respiter))
        return self.sent_by_system

    def _check_length(self) -> None:
        """The client still waits for what is missing, and would take the next answer for it."""
        if self.response_length is not None and self.sent < self.response_length and not self.sent_by_system:
            raise ApplicationFault(f"{self.sent} bytes were to be sent, and {self.response_length} are announced")

    def _is_large(self, pieces: Iterable[bytes], first: list[bytes]) -> bool:
        """Judged by the announced length, or else by as many pieces as it takes, which are put into `first`."""
        if self.response_length is not None and self.response_length > SMALL_BYTES:
            return True
        size = 0
        for piece in pieces:
            first.append(piece)
            size += len(piece)
            if size > SMALL_BYTES:
                return True
        return False

    def _refuse(self, slots: TransferSlots) -> None:
        body = slots.refusal()
        kept = [(name, value) for name, value in self.headers if name in ALWAYS]
        self.status = None
        self.headers: list[tuple[str, str]] = []
        self.response_length = None
        own = [
            ("Content-Type", "application/problem+json"),
            ("Content-Length", str(len(body))),
            ("Retry-After", str(RETRY_SECONDS)),
            *kept,
        ]
        self.start_response("503 Service Unavailable", own)
        self.write(body)


def whole(status: int, reason: str, body: bytes, retry: int | None = None) -> bytes:
    """An answer of the server's own, to what never became a request; the last one of its connection."""
    lines = [
        f"HTTP/1.1 {status} {reason}",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *(f"{name}: {value}" for name, value in FOR_BROWSERS.items()),
        *([f"Retry-After: {retry}"] if retry is not None else []),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def too_late(seconds: float, what: str) -> bytes:
    detail = f"the {what} of the request did not arrive within {seconds:g} seconds"
    return whole(408, "Request Timeout", refusal_body(408, "request_timeout", "The request did not arrive", detail))


def broken_off() -> bytes:
    detail = "the connection was closed before the end of the body"
    return whole(400, "Bad Request", refusal_body(400, "incomplete_body", "The body is incomplete", detail))


def head_too_long(most: int) -> bytes:
    detail = f"the header of a request may have {most} bytes"
    body = refusal_body(431, "header_too_large", "The header is too long", detail)
    return whole(431, "Request Header Fields Too Large", body)


def no_slot(slots: TransferSlots) -> bytes:
    return whole(503, "Service Unavailable", slots.refusal(), RETRY_SECONDS)
