"""Whose address a request has that comes through a proxy: the one that the proxy tells, if it is trusted.

Whether the proxy was asked by HTTPS, gunicorn itself finds in `X-Forwarded-Proto`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import TYPE_CHECKING

from werkzeug.middleware.proxy_fix import ProxyFix

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class Forwarded:
    """WSGI middleware. What a proxy has added last to `X-Forwarded-For` counts, and only from those trusted."""

    def __init__(self, app: WSGIApplication, trusted: Sequence[IPv4Network | IPv6Network]) -> None:
        self._app: Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]] = app
        self._of_proxies = ProxyFix(app, x_for=1, x_proto=0, x_host=0, x_port=0, x_prefix=0)
        self._trusted = trusted

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if self._is_trusted(environ.get("REMOTE_ADDR", "")):
            return self._of_proxies(environ, start_response)
        return self._app(environ, start_response)

    def _is_trusted(self, address: str) -> bool:
        try:
            found = ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._trusted)
