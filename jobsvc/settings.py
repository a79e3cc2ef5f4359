"""Every setting of the service: its name, default, meaning and check.

Settings come from the environment and, below it, from a `.env` file. They are
read once, at start, into a frozen `Settings`.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import unquote, urlsplit

from dotenv import dotenv_values
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from jobsvc.access import key_ring
from jobsvc.access.key_ring import KeyRing

MIB = 1024**2
GIB = 1024**3

MAX_ROW_BYTES = 16 * 1024 * 1024
"""Some rows are held in memory at a time."""

MAX_SECONDS = 10**9
"""The system can't wait for much longer."""


OF_THE_CLIENT = frozenset({"JOBSVC_URL", "JOBSVC_API_KEY"})
"""Variables that look like settings, and tell the commands of the client where a service is."""


Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class SettingError(Exception):
    """A setting has a value that can't be used; the text names it and what is allowed."""


class EngineName(StrEnum):
    THREADS = "threads"
    FLEET = "fleet"


class Recover(StrEnum):
    """What happens at start to jobs that were running when the service went away."""

    AUTO = "auto"
    MANUAL = "manual"


class LogFormat(StrEnum):
    """What a line of the process's log is."""

    AUTO = "auto"
    """Text on a terminal, JSON elsewhere."""
    JSON = "json"
    TEXT = "text"


class LogLevel(StrEnum):
    """From which level on a line is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Settings:
    """The settings of one process. Times are in seconds, sizes in bytes."""

    host: str = "127.0.0.1"
    port: int = 8081
    data_dir: Path = Path("var")
    database_url: str = field(default="", repr=False)
    files_url: str = ""
    engine: EngineName = EngineName.THREADS
    max_running: int = 8
    max_queued: int = 10_000
    user_max_running: int = 0
    user_max_queued: int = 0
    user_max_stored_bytes: int = 0
    user_max_uploads: int = 0
    user_max_requests: int = 0
    park_after: float = 300.0
    paused_threads: int = 64
    shutdown_timeout: float = 10.0
    recover: Recover = Recover.AUTO
    max_crashes: int = 5
    max_upload_bytes: int = 2 * GIB
    min_free_bytes: int = 256 * MIB
    max_row_bytes: int = 1024 * 1024
    allow_anonymous: bool = False
    kinds: tuple[str, ...] = ()
    idempotency_hours: float = 24.0
    keep_finished_days: float = 0.0
    keep_files_days: float = 0.0
    keep_audit_days: float = 365.0
    heartbeat: float = 2.0
    stalled_after: float = 7.0
    sweep_every: int = 2
    metrics_port: int = 0
    webhook_secret: str = field(default="", repr=False)
    webhook_allow_private: bool = False
    log_format: LogFormat = LogFormat.AUTO
    log_level: LogLevel = LogLevel.INFO
    trusted_proxies: tuple[Network, ...] = ()
    api_keys: KeyRing = field(default_factory=KeyRing)

    @property
    def url(self) -> str:
        """The database's SQLAlchemy URL; by default the SQLite file in the data directory."""
        if not self.database_url.startswith("sqlite:") and self.database_url:
            return f"postgresql+psycopg:{self.database_url.partition(':')[2]}"
        return self.database_url or f"sqlite:///{self.data_dir / 'jobsvc.db'}"

    @classmethod
    def load(
        cls,
        environ: Mapping[str, str] | None = None,
        dotenv: Path | None = Path(".env"),
    ) -> Settings:
        """Read the settings; the environment wins over the `.env` file.

        An empty value counts as not set. Raises SettingError for a value that
        can't be read, and for a name that starts like ours but isn't one.
        """
        given = {name: found.text for name, found in given_texts(environ, dotenv).items()}
        known = {variable.name for variable in VARIABLES}
        for name in sorted(given):
            if name.startswith("JOBSVC_") and name not in known | OF_THE_CLIENT:
                allowed = ", ".join(sorted(known))
                raise SettingError(f"{name} is not a setting; the settings are {allowed}")
        values = {
            variable.field: variable.read(given[variable.name].strip())
            for variable in VARIABLES
            if given.get(variable.name, "").strip()
        }
        settings = cls(**values)
        settings._check_fleet()
        return settings

    def _check_fleet(self) -> None:
        if self.engine is EngineName.FLEET and not self.url.startswith("postgresql"):
            raise SettingError(
                "JOBSVC_ENGINE=fleet needs a database that many machines can reach: "
                "set DATABASE_URL=postgresql://user:password@host:port/database"
            )
        if self.stalled_after < 2 * self.heartbeat:
            raise SettingError(
                f"JOBSVC_STALLED_AFTER={self.stalled_after:g} can't be used: it must be at least twice "
                f"JOBSVC_HEARTBEAT={self.heartbeat:g}, or workers that are alive are given up"
            )

    def check_listen(self, host: str) -> None:
        """Raise SettingError if `host` is not loopback, unless keys or JOBSVC_ALLOW_ANONYMOUS are set.

        The database may have keys too: see `process/listening.py`.
        """
        if self.api_keys or self.allow_anonymous or is_loopback(host):
            return
        raise SettingError(
            f"refusing to listen on {host}: without keys everybody who reaches it may upload, "
            "stop and read jobs. Make keys (python -m jobsvc keys create NAME --role admin), or set JOBSVC_API_KEYS; "
            "or listen on 127.0.0.1; or set JOBSVC_ALLOW_ANONYMOUS=1 if only people whom you trust can reach it"
        )


@dataclass(frozen=True)
class Given:
    """The text of a variable, and where it comes from."""

    text: str
    where: str


def given_texts(environ: Mapping[str, str] | None = None, dotenv: Path | None = Path(".env")) -> dict[str, Given]:
    """Every variable of the environment and, below it, of the file."""
    found = {}
    if dotenv is not None and dotenv.is_file():
        found = {name: Given(text or "", str(dotenv)) for name, text in dotenv_values(dotenv).items()}
    environ = os.environ if environ is None else environ
    return found | {name: Given(text, "environment") for name, text in environ.items()}


@lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """Whether a listener on `host` (a name or an address) is reachable from this machine only."""
    if host == "localhost" or host.startswith(("unix:", "fd:")):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Variable:
    """One environment variable: the field it fills and how its text is read."""

    name: str
    field: str
    parse: Callable[[str], Any]
    allowed: str
    masked: Callable[[str], str] = str
    """What may be told of its value, if that is no secret as a whole."""
    is_secret: bool = False

    def shown(self, text: str) -> str:
        """How its value is named in an error."""
        return "…" if self.is_secret else repr(self.masked(text))

    def read(self, text: str) -> Any:
        try:
            return self.parse(text)
        except ValueError:
            raise SettingError(f"{self.name}={self.shown(text)} can't be used: it must be {self.allowed}") from None


def _whole(lowest: int, highest: int | None = None) -> Callable[[str], int]:
    def parse(text: str) -> int:
        number = int(text)
        if number < lowest or (highest is not None and number > highest):
            raise ValueError(text)
        return number

    return parse


def _number(lowest: float, highest: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        number = float(text)
        if not lowest <= number <= highest:
            raise ValueError(text)
        return number

    return parse


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not all(re.fullmatch(r"[\w.]+:[\w.]+", name) for name in names):
        raise ValueError(text)
    return names


def _networks(text: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())


def _webhook_secret(text: str) -> str:
    try:
        secret = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        raise ValueError(text) from error
    if not text.startswith("whsec_") or not 24 <= len(secret) <= 64:
        raise ValueError(text)
    return text


def _part_of_a_minute(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 30 or 60 % number:
        raise ValueError(text)
    return number


def _flag(text: str) -> bool:
    flags = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if text.lower() not in flags:
        raise ValueError(text)
    return flags[text.lower()]


def _url(text: str) -> str:
    if text.startswith(("postgresql://", "postgres://")):
        try:
            url = make_url(text)
        except ArgumentError as error:
            raise ValueError from error
        if not url.database or not (url.host or "host" in url.query or "service" in url.query):
            raise ValueError(text)
        return text
    path = text.removeprefix("sqlite:///")
    if path in (text, "", ":memory:") or "mode=memory" in path:
        raise ValueError(text)
    name, _, options = path.partition("?")
    if name.lower().startswith("file:") or "uri=" in options.lower():
        raise SettingError(
            f"DATABASE_URL={text!r} can't be used: URIs of SQLite (file:…, uri=true) can name one file in many ways, "
            "so that two processes could work on it; it must be sqlite:///path/to/file"
        )
    return text


def _files_url(text: str) -> str:
    url = urlsplit(text)
    segments = unquote(url.path)[1:].removesuffix("/").split("/")
    if "?" in text or "#" in text or "@" in url.netloc or not text.isprintable() or {".", ".."} & {*segments}:
        raise ValueError(text)
    if url.scheme == "file":
        if url.netloc not in ("", "localhost") or segments == [""]:
            raise ValueError(text)
        return text
    if url.scheme != "s3" or not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", url.netloc):
        raise ValueError(text)
    if "%" in text or (segments != [""] and "" in segments):
        raise ValueError(text)
    if find_spec("s3fs") is None:
        raise SettingError(
            "JOBSVC_FILES_URL=s3://… needs s3fs, which is not installed: pip install -r requirements-s3.txt"
        )
    return text.rstrip("/")


def _without_credentials(text: str) -> str:
    """What may be shown of a URL that may have keys in it, wherever somebody has put them."""
    text = re.sub(r"^(\w+://)?.*@", r"\1…@", text, flags=re.DOTALL)
    return re.sub(r"([?#]).*", r"\1…", text, flags=re.DOTALL)


def _without_password(text: str) -> str:
    """What may be shown of a URL that may not even be one."""
    text = re.sub(r"^(\w+:/*)?.*@", r"\1…@", text, flags=re.DOTALL)
    return re.sub(r"(password=)[^&]*", r"\1…", text)


VARIABLES: tuple[Variable, ...] = (
    Variable("HOST", "host", str, "a host name or address"),
    Variable("PORT", "port", _whole(1, 65535), "a whole number from 1 to 65535"),
    Variable("JOBSVC_DATA_DIR", "data_dir", Path, "a directory"),
    Variable(
        "DATABASE_URL",
        "database_url",
        _url,
        "a URL of the form sqlite:///path/to/file or postgresql://user:password@host:port/database",
        _without_password,
    ),
    Variable(
        "JOBSVC_FILES_URL",
        "files_url",
        _files_url,
        "file:///absolute/path, s3://bucket or s3://bucket/prefix; for S3, keys and endpoint are set as for every "
        "client of AWS (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL_S3, a profile), never here",
        _without_credentials,
    ),
    Variable("JOBSVC_ENGINE", "engine", EngineName, "threads or fleet"),
    Variable("JOBSVC_MAX_RUNNING", "max_running", _whole(1), "a whole number of jobs, 1 or more"),
    Variable("JOBSVC_MAX_QUEUED", "max_queued", _whole(1), "a whole number of jobs, 1 or more"),
    Variable("JOBSVC_USER_MAX_RUNNING", "user_max_running", _whole(0), "a whole number of jobs; 0 sets no limit"),
    Variable("JOBSVC_USER_MAX_QUEUED", "user_max_queued", _whole(0), "a whole number of jobs; 0 sets no limit"),
    Variable(
        "JOBSVC_USER_MAX_STORED_BYTES",
        "user_max_stored_bytes",
        _whole(0),
        "a whole number of bytes; 0 sets no limit",
    ),
    Variable("JOBSVC_USER_MAX_UPLOADS", "user_max_uploads", _whole(0), "a whole number of uploads; 0 sets no limit"),
    Variable(
        "JOBSVC_USER_MAX_REQUESTS",
        "user_max_requests",
        _whole(0, 1000),
        "a whole number of requests a second, up to 1000; 0 sets no limit",
    ),
    Variable(
        "JOBSVC_PARK_AFTER", "park_after", _number(0, MAX_SECONDS), f"a number of seconds from 0 to {MAX_SECONDS}"
    ),
    Variable("JOBSVC_PAUSED_THREADS", "paused_threads", _whole(0), "a whole number of threads, 0 or more"),
    Variable(
        "JOBSVC_SHUTDOWN_TIMEOUT",
        "shutdown_timeout",
        _number(3, MAX_SECONDS),
        f"a number of seconds from 3 to {MAX_SECONDS}",
    ),
    Variable("JOBSVC_HEARTBEAT", "heartbeat", _number(0.1, 3600), "a number of seconds from 0.1 to 3600"),
    Variable("JOBSVC_STALLED_AFTER", "stalled_after", _number(0.2, 86400), "a number of seconds from 0.2 to 86400"),
    Variable("JOBSVC_SWEEP_EVERY", "sweep_every", _part_of_a_minute, "1, 2, 3, 4, 5, 6, 10, 12, 15, 20 or 30 seconds"),
    Variable("JOBSVC_METRICS_PORT", "metrics_port", _whole(0, 65535), "a port from 1 to 65535, or 0 for none"),
    Variable("JOBSVC_RECOVER", "recover", Recover, "auto or manual"),
    Variable("JOBSVC_MAX_CRASHES", "max_crashes", _whole(1), "a whole number of attempts, 1 or more"),
    Variable("JOBSVC_MAX_UPLOAD_BYTES", "max_upload_bytes", _whole(1), "a whole number of bytes, 1 or more"),
    Variable("JOBSVC_MIN_FREE_BYTES", "min_free_bytes", _whole(0), "a whole number of bytes; 0 lets the disks fill up"),
    Variable(
        "JOBSVC_MAX_ROW_BYTES",
        "max_row_bytes",
        _whole(1, MAX_ROW_BYTES),
        f"a whole number of bytes from 1 to {MAX_ROW_BYTES}",
    ),
    Variable("JOBSVC_KINDS", "kinds", _names, "package.module:Class, further ones behind commas"),
    Variable("JOBSVC_IDEMPOTENCY_HOURS", "idempotency_hours", _number(0, 10_000), "a number of hours from 0 to 10000"),
    Variable(
        "JOBSVC_KEEP_FINISHED_DAYS",
        "keep_finished_days",
        _number(0, 100_000),
        "a number of days; 0 keeps them for ever",
    ),
    Variable(
        "JOBSVC_KEEP_FILES_DAYS", "keep_files_days", _number(0, 100_000), "a number of days; 0 keeps them for ever"
    ),
    Variable("JOBSVC_KEEP_AUDIT_DAYS", "keep_audit_days", _number(0, 100_000), "a number of days; 0 keeps it for ever"),
    Variable(
        "JOBSVC_WEBHOOK_SECRET",
        "webhook_secret",
        _webhook_secret,
        "whsec_ and 24 to 64 bytes in base64",
        is_secret=True,
    ),
    Variable("JOBSVC_WEBHOOK_ALLOW_PRIVATE", "webhook_allow_private", _flag, "0 or 1"),
    Variable("JOBSVC_LOG_FORMAT", "log_format", LogFormat, "auto, json or text"),
    Variable("JOBSVC_LOG_LEVEL", "log_level", LogLevel, "debug, info, warning or error"),
    Variable(
        "JOBSVC_TRUSTED_PROXIES",
        "trusted_proxies",
        _networks,
        "addresses or networks, such as 10.0.0.5 or 10.0.0.0/24, with commas between",
    ),
    Variable(key_ring.SETTING, "api_keys", KeyRing.read, key_ring.ALLOWED, is_secret=True),
    Variable("JOBSVC_ALLOW_ANONYMOUS", "allow_anonymous", _flag, "0 or 1"),
)
