"""Where webhooks may go: http and https URLs, to addresses of the public internet.

Without this, everybody who may create a job could make the service talk to what only
the service can reach: its own machine, its network, a cloud's metadata address.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

from jobsvc.jobs.errors import InvalidParameter

MAX_URL_CHARACTERS = 2000

ALLOWED = "must be an http:// or https:// URL to a public address, without credentials"

PORTS = {"http": 80, "https": 443}


class AddressRefused(Exception):
    """Nothing may be sent there; the text says why."""


class NotResolved(OSError):
    """A name has no address at the moment. `temporary`: asking again may help."""

    def __init__(self, host: str, error: socket.gaierror) -> None:
        super().__init__(f"{host} can't be resolved: {error.strerror}")
        self.temporary = error.errno == socket.EAI_AGAIN


@dataclass(frozen=True)
class Target:
    """A URL, taken apart. `path` is what the request line has, with the query."""

    scheme: str
    host: str
    port: int
    path: str


def parse(url: str) -> Target:
    """Take a URL apart. Raises AddressRefused for what can't be a webhook's."""
    if len(url) > MAX_URL_CHARACTERS:
        raise AddressRefused(f"it has more than {MAX_URL_CHARACTERS} characters")
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise AddressRefused("it has characters that must be percent-encoded")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise AddressRefused(str(error)) from error
    if parts.scheme not in PORTS:
        raise AddressRefused("it is not an http or https URL")
    if "@" in parts.netloc:
        raise AddressRefused("it has credentials")
    # A "%" in a host is a zone of this machine's own, or hides what is meant.
    if not parts.hostname or "%" in parts.hostname or port == 0:
        raise AddressRefused("it has no usable host and port")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, parts.hostname, port or PORTS[parts.scheme], path)


def resolve(target: Target, *, allow_private: bool) -> list[str]:
    """The addresses of a target, all of them allowed. Raises AddressRefused, NotResolved.

    The resolver also knows addresses in the disguise of other numbers, such as
    2130706433, 0x7f000001 and 127.1: what is checked is what comes out of it.
    """
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise NotResolved(target.host, error) from error
    except UnicodeError as error:
        raise AddressRefused(f"{target.host!r} is not a host name") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:
        if not allow_private and not is_public(address):
            raise AddressRefused(f"{target.host} is at {address}, which is not a public address")
    return addresses


def is_public(address: str) -> bool:
    """Whether a numeric address is one of the public internet's, by IANA's registries as `ipaddress` knows them."""
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    # `is_global` alone is true of multicast, and of IPv6 forms that carry any IPv4 address.
    if not ip.is_global or ip.is_multicast or ip.is_reserved:
        return False
    return isinstance(ip, IPv4Address) or not _is_old_ipv6(ip)


def _is_old_ipv6(ip: IPv6Address) -> bool:
    """Site-local, 6to4 and Teredo addresses: withdrawn, and ways into private networks."""
    return ip.is_site_local or ip.sixtofour is not None or ip.teredo is not None


def check_callback(url: object, *, allow_private: bool) -> None:
    """Raise InvalidParameter if a new job may not name this as its `callback_url`.

    A name that can't be resolved just now passes: it is checked again at each sending.
    """
    try:
        if not isinstance(url, str):
            raise AddressRefused("it is not a string")
        target = parse(url)
        if not allow_private:
            resolve(target, allow_private=False)
    except NotResolved as error:
        if not error.temporary:
            raise InvalidParameter("callback_url", f"{ALLOWED}: {error}") from error
    except AddressRefused as error:
        raise InvalidParameter("callback_url", f"{ALLOWED}: {error}") from error
