"""Where the log goes, in which form, and from which level on: for the whole process, every library's lines included."""

from __future__ import annotations

import logging
import re
import sys
import threading
from typing import TextIO

from jobsvc.logs.formatting import JsonLines, TextLines
from jobsvc.logs.private import PRIVATE
from jobsvc.logs.secrets import Censor, known
from jobsvc.settings import LogFormat, Settings

log = logging.getLogger(__name__)

OURS = ("jobsvc", "gunicorn.error")
"""Loggers that tell as much as JOBSVC_LOG_LEVEL says. Others never tell what they say for debugging: headers with keys
among it."""

TALKATIVE = (
    *("httpx", "httpx2", "httpcore", "httpcore2", "urllib3", "asyncio"),
    *("procrastinate", "psycopg", "sqlalchemy", "alembic.runtime.plugins", "opentelemetry"),
    *("fsspec", "s3fs", "boto3", "botocore", "aiobotocore"),
)
"""They tell of every step. What goes wrong in it comes up here as well, in words of our own."""


_COLOUR = re.compile(r"\x1b\[[\d;]*m")


class _Ours(logging.StreamHandler[TextIO]):
    """The one handler of the process."""


def configure(settings: Settings | None = None, stream: TextIO | None = None) -> None:
    """Send every logger's lines to standard error, as the settings say (None: as without any). May be called again."""
    settings = settings or Settings()
    stream = sys.stderr if stream is None else stream
    as_json = is_json(settings.log_format, stream)
    censor = Censor(known(settings))
    handler = _Ours(stream)
    handler.setFormatter(JsonLines(censor) if as_json else TextLines(censor))
    root = logging.getLogger()
    for old in [found for found in root.handlers if isinstance(found, _Ours)]:
        root.removeHandler(old)
    root.addHandler(handler)
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    root.setLevel(max(level, logging.INFO))
    for name in OURS:
        logging.getLogger(name).setLevel(level)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    _add_filter("alembic.runtime.migration", _only_upgrades)
    _add_filter("werkzeug", _without_access)
    logging.captureWarnings(True)
    threading.excepthook = _log_end_of_thread


def hide(secret: str) -> None:
    """Keep a secret from all lines from now on that was not known yet when the log was set up."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _Ours) and isinstance(handler.formatter, JsonLines | TextLines):
            handler.formatter.censor = handler.formatter.censor.knowing(secret)


def is_configured() -> bool:
    return any(isinstance(handler, _Ours) for handler in logging.getLogger().handlers)


def is_json(wanted: LogFormat, stream: TextIO) -> bool:
    """Whether lines are JSON: for a file or a pipe, unless the setting says otherwise."""
    return wanted is LogFormat.JSON or (wanted is LogFormat.AUTO and not stream.isatty())


def _add_filter(name: str, passes: object) -> None:
    logger = logging.getLogger(name)
    if passes not in logger.filters:
        logger.addFilter(passes)  # type: ignore[arg-type]


def _only_upgrades(record: logging.LogRecord) -> bool:
    """Each start would say which database it is that nothing has to be done about."""
    return record.levelno > logging.INFO or record.getMessage().startswith("Running ")


def _without_access(record: logging.LogRecord) -> bool:
    """Every request has its line already: `web/request_log.py`. And without the colours that it gives the others."""
    if record.levelno == logging.INFO and " - - [" in str(record.msg):
        return False
    record.msg = _COLOUR.sub("", str(record.msg))
    return True


def _log_end_of_thread(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_type is SystemExit:
        return
    name = "?" if ended.thread is None else ended.thread.name
    found = ended.exc_value or ended.exc_type()
    # Maybe a thread of a kind's.
    log.error("a thread has broken off: %s", name, exc_info=found, extra=PRIVATE)
