"""gunicorn's own lines go where all others go; its line for each request is the application's.

The application's middleware knows the route, the user and the request's id, and the
server knows what was really sent: it tells, by `jobsvc.sent` in the request's environment.
"""

from __future__ import annotations

import sys
from typing import Any

from gunicorn.glogging import Logger  # type: ignore[import-untyped]

OWN_WAYS = {
    "errorlog": "--error-logfile",
    "accesslog": "--access-logfile",
    "logconfig": "--log-config",
    "logconfig_json": "--log-config-json",
    "logconfig_dict": "logconfig_dict",
    "syslog": "--log-syslog",
    "loglevel": "--log-level",
}
"""Settings of gunicorn by which lines would go elsewhere, or twice, or not at all."""


class ServerLog(Logger):  # type: ignore[misc]
    """Adds no handler: that of the process is at the root."""

    def setup(self, cfg: Any) -> None:
        """Raises RuntimeError, which gunicorn prints as one line."""
        self.cfg = cfg
        given = [told for name, told in OWN_WAYS.items() if cfg.settings[name].get() != cfg.settings[name].default]
        if given:
            raise RuntimeError(
                f"{', '.join(given)}: the whole log, requests among it, goes to standard error, one line an event; "
                "send that to a file or to what collects logs, and set JOBSVC_LOG_FORMAT and JOBSVC_LOG_LEVEL"
            )
        self.error_log.propagate = True

    def access(self, resp: Any, req: Any, environ: dict[str, Any], request_time: Any) -> None:
        """Tell the application what was sent, and whether that is the whole answer."""
        told = environ.get("jobsvc.sent")
        if told is not None:
            status = int(str(resp.status).split(None, 1)[0])
            size = resp.response_length if resp.sent_by_system else resp.sent
            told(status, size or 0, sys.exc_info()[0] is None)
