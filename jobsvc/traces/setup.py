"""Switching traces on in a process: where the environment asks for them and the packages are there."""

from __future__ import annotations

import logging
import os
from typing import Protocol

from jobsvc.traces.wanted import wanted

log = logging.getLogger(__name__)


class Sending(Protocol):
    """See `sender.Sender`."""

    def start(self) -> None: ...
    def begin_shut_down(self) -> None: ...
    def shut_down(self, seconds: float) -> None: ...


def sending(what: str) -> list[Sending]:
    """What sends the spans of a process that is a `web` or a `worker`: one part, or none if nobody is to be told.

    Spans are told from here on. To be called after a fork: it begins a thread.
    """
    if not wanted(os.environ):
        return []
    try:
        # Some tens of megabytes, which a process without traces is spared.
        from jobsvc.traces.sender import Sender  # noqa: PLC0415
    except ImportError as error:
        log.warning("no traces: %s is not installed: pip install -r requirements-otel.txt", error.name)
        return []
    log.info("traces are sent by OpenTelemetry")
    return [Sender(what)]
