"""Requests to a service, with errors as a person or a script wants to have them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlsplit

from jobsvc.cli.client.exits import Ended, Exit
from jobsvc.cli.client.output import printable

if TYPE_CHECKING:
    import httpx2

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0
"""The service answers within 30 seconds, however long it was told to wait."""

UPLOAD_SECONDS = 600.0
"""After its last byte, an upload is flushed to a disk or to S3 before it is answered."""

WAIT_SECONDS = 30
"""How long the service is asked to wait for a job to change: the most that it takes."""

MAX_PAGE = 1000

LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class Unreachable(Ended):
    """No answer, or none that is of use: asking again later may help."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(Exit.UNREACHABLE, message, status)


class CantWait(Exception):
    """The service is of a version that does not know how to wait for a job to change."""


class Seen(NamedTuple):
    """A job, and how many seconds the service wants it to be left alone."""

    job: dict[str, Any]
    pause: float


class Api:
    """One service, at a URL. For one thread."""

    def __init__(self, url: str, key: str | None) -> None:
        # A tenth of a second, which a command that does not talk can spare.
        import httpx2  # noqa: PLC0415

        self.url = url.rstrip("/")
        host = _host_of(url)
        headers = {"Accept-Encoding": "identity", "User-Agent": "jobsvc"}
        if key:
            if not key.isascii() or not key.isprintable() or " " in key:
                raise Ended(Exit.USAGE, "the key is not usable: a key has printable ASCII characters only")
            headers["Authorization"] = f"Bearer {key}"
        self._errors = httpx2.TransportError
        self._http = httpx2.Client(
            headers=headers,
            timeout=httpx2.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
            # A proxy that the environment names can't reach this machine.
            trust_env=host not in LOOPBACK,
        )

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return self._object("GET", path, params={k: v for k, v in (query or {}).items() if v is not None})

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._object("POST", path, json=body)

    def put(
        self, path: str, query: list[tuple[str, str]], headers: Mapping[str, str], body: Iterator[bytes]
    ) -> dict[str, Any]:
        """Send `body` as it comes. Its file's size is in the headers, if it is known."""
        return self._object("PUT", path, params=query, headers=headers, content=body, timeout=UPLOAD_SECONDS)

    def job(self, job_id: str) -> dict[str, Any]:
        return self.get(job_path(job_id))

    def changed_job(self, job_id: str, version: str) -> Seen:
        """The job, as soon as its version is another one, or after `WAIT_SECONDS` as it is. Raises CantWait."""
        query: dict[str, str | int] = {"wait": WAIT_SECONDS, "unless": version}
        with self._told():
            answer = self._http.get(self.url + job_path(job_id), params=query)
        if answer.status_code == 400 and _parameter_of(answer) in query:
            raise CantWait
        pause = answer.headers.get("Retry-After", "") if answer.is_success else ""
        return Seen(self._object_of(answer), float(pause) if pause.isdigit() else 0.0)

    def jobs(self, limit: int | None, query: Mapping[str, Any]) -> tuple[list[dict[str, Any]], str | None]:
        """The latest jobs that the query finds, `limit` at most (None: all), and where the next page would begin."""
        found: list[dict[str, Any]] = []
        after = None
        while limit is None or len(found) < limit:
            most = MAX_PAGE if limit is None else min(MAX_PAGE, limit - len(found))
            page = self.get("/jobs", {**query, "limit": most, "after": after})
            found += page["jobs"]
            after = page["next"]
            if after is None:
                break
        return found, after

    @contextmanager
    def stream(self, path: str, headers: Mapping[str, str]) -> Iterator[httpx2.Response]:
        """A file, as it comes; what is not 200, 206 or 416 is an error. Raises Unreachable when it breaks off."""
        with self._told(), self._http.stream("GET", self.url + path, headers=headers) as answer:
            if answer.status_code not in (200, 206, 416):
                answer.read()
                raise self._refusal(answer)
            yield answer

    def _object(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        with self._told():
            answer = self._http.request(method, self.url + path, **more)
        return self._object_of(answer)

    def _object_of(self, answer: httpx2.Response) -> dict[str, Any]:
        if not answer.is_success:
            raise self._refusal(answer)
        found = _json(answer)
        if not isinstance(found, dict):
            raise self._stranger(answer)
        return found

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except self._errors as error:
            why = str(error) or type(error).__name__
            raise Unreachable(f"{self.url} can't be reached: {why}") from None

    def _refusal(self, answer: httpx2.Response) -> Ended:
        """What an answer that is no success says: a problem document, or an error as the original had them."""
        status = answer.status_code
        found = _json(answer)
        if not isinstance(found, dict) or not {"detail", "title", "message", "errorType"} & found.keys():
            return self._stranger(answer)
        texts = (found.get(name) for name in ("detail", "message", "title", "errorType"))
        text = printable(next(str(text) for text in texts if text))
        if status >= 500:
            return Unreachable(f"{self.url} can't answer at the moment: {text}", status)
        return Ended(Exit.NOT_FOUND if status == 404 else Exit.REFUSED, text, status)

    def _stranger(self, answer: httpx2.Response) -> Ended:
        status = answer.status_code
        return Unreachable(f"{self.url} does not answer as jobsvc does: its answer has the status {status}", status)


def job_path(job_id: str, *more: str) -> str:
    return "/".join(("/jobs", quote(job_id, safe=""), *more))


def kind_path(name: str, *more: str) -> str:
    return "/".join(("/kinds", quote(name, safe=""), *more))


def _parameter_of(answer: httpx2.Response) -> object:
    """The parameter that a refusal is about, if it says so."""
    found = _json(answer)
    return found.get("parameter") if isinstance(found, dict) else None


def _json(answer: httpx2.Response) -> Any:
    try:
        return answer.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        return None


def _host_of(url: str) -> str:
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or parts.query or parts.fragment:
        raise Ended(
            Exit.USAGE, f"the URL {printable(url)!r} is not usable: it must be http://host:port or https://host"
        )
    return host
