"""The address of a service: who has named it, and what to say when no service of jobsvc answers there."""

from __future__ import annotations

import re
import socket
import ssl
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from jobsvc.cli.client.exits import Ended, Exit
from jobsvc.cli.client.output import printable

if TYPE_CHECKING:
    import httpx2

DEFAULT_URL = "http://127.0.0.1:8081"
VARIABLE = "JOBSVC_URL"

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0
"""The service answers within 30 seconds, however long it was told to wait."""


class Source(StrEnum):
    """Where an address comes from, as it is told."""

    DEFAULT = "the default"
    VARIABLE = f"from {VARIABLE}"
    OPTION = "from --url"
    SETTINGS = "from HOST and PORT"


@dataclass(frozen=True)
class Address:
    """A URL without a slash at its end. Raises Ended if it is none."""

    url: str
    host: str
    source: Source

    @classmethod
    def of(cls, url: str, source: Source) -> Address:
        try:
            parts = urlsplit(url)
            host = parts.hostname
            _ = parts.port
        except ValueError:
            host = None
        if not host or parts.scheme not in ("http", "https") or parts.query or parts.fragment:
            raise Ended(
                Exit.USAGE,
                f"the URL {printable(url)!r} ({source}) is not usable: it must be http://host:port or https://host",
            )
        return cls(url.rstrip("/"), host, source)

    def __str__(self) -> str:
        return f"{self.url} ({self.source})"

    def what_to_do(self) -> str:
        """For somebody whose service does not answer here."""
        match self.source:
            case Source.DEFAULT:
                return (
                    "Is the service running? `make` or `jobsvc serve` starts it here. "
                    f"If it runs elsewhere, name it with --url or {VARIABLE}."
                )
            case Source.VARIABLE:
                return f"Is the service running, and is {VARIABLE} right? --url names another."
            case Source.OPTION:
                return "Is the service running, and is --url right?"
            case Source.SETTINGS:
                return "Is the service running, and are HOST and PORT right?"

    def unknown_path(self) -> str:
        """What to do where a service, or a server, knows no such path."""
        path = urlsplit(self.url).path
        if path:
            return (
                f"Is the path {printable(path)} right? The URL is the one of the service, without the path of a route."
            )
        return "Is it a service of jobsvc, and is its version at least that of this command (`jobsvc --version`)?"


def reason(error: httpx2.TransportError) -> str:
    """Why there is no answer, in words."""
    import httpx2  # noqa: PLC0415 (it is loaded by now)

    cause = _cause(error)
    reasons: dict[type[BaseException], str] = {
        httpx2.ConnectTimeout: f"no connection within {CONNECT_SECONDS:.0f} s",
        httpx2.ReadTimeout: "it does not answer",
        httpx2.WriteTimeout: "it takes no more of what is sent",
        ConnectionRefusedError: "nothing listens there",
        ConnectionError: "the connection broke off",
        socket.gaierror: "there is no host of this name",
        ssl.SSLCertVerificationError: f"its certificate is not trusted: {getattr(cause, 'verify_message', '')}",
        ssl.SSLError: "it does not speak HTTPS",
        httpx2.RemoteProtocolError: "it does not speak HTTP",
    }
    if isinstance(error, httpx2.RemoteProtocolError) and re.search("disconnected|closed", str(error)):
        return "it closed the connection before its answer was whole"
    for kind, told in reasons.items():
        if isinstance(error, kind) or isinstance(cause, kind):
            return told
    return getattr(cause, "strerror", None) or str(error) or type(error).__name__


def _cause(error: BaseException) -> BaseException:
    """What the network said, at the end of the chain of what libraries made of it."""
    while (deeper := error.__cause__ or error.__context__) is not None:
        error = deeper
    return error
