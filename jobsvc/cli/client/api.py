"""Requests to a service, with errors as a person or a script wants to have them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from jobsvc.cli.client.address import ANSWER_SECONDS, CONNECT_SECONDS, Address, Source, reason
from jobsvc.cli.client.exits import Ended, Exit
from jobsvc.cli.client.output import printable

if TYPE_CHECKING:
    import httpx2

UPLOAD_SECONDS = 600.0
"""After its last byte, an upload is flushed to a disk or to S3 before it is answered."""

WAIT_SECONDS = 30
"""How long the service is asked to wait for a job to change: the most that it takes."""

MAX_PAGE = 1000

NO_ROUTE = (404, 405)
"""What a server answers that has no such path. What jobsvc does not find has a problem type of its own."""

TEXTS = dict.fromkeys(("detail", "message", "reason", "title", "errorType")).keys()
"""Where an answer says what is wrong, the best first."""

BUSY_SECONDS = 10.0
"""For how long what a command asks of jobs is asked again while others keep the database locked."""

BUSY_PAUSE_SECONDS = 0.5

BUSY = {"urn:jobsvc:database-busy", "urn:jobsvc:busy"}
"""The problems that say that nothing was changed, and that the same may be asked again in a moment."""

LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class Unreachable(Ended):
    """No answer, or none that is of use: asking again later may help."""

    def __init__(self, message: str, status: int | None = None, hint: str | None = None) -> None:
        super().__init__(Exit.UNREACHABLE, message, status, hint)


class CantWait(Exception):
    """The service is of a version that does not know how to wait for a job to change."""


class Seen(NamedTuple):
    """A job, and how many seconds the service wants it to be left alone."""

    job: dict[str, Any]
    pause: float


class Api:
    """One service, at a URL. For one thread."""

    def __init__(self, address: Address | str, key: str | None) -> None:
        """A URL alone counts as one that a command line has named."""
        if isinstance(address, str):
            address = Address.of(address, Source.OPTION)
        # A tenth of a second, which a command that does not talk can spare.
        import ssl  # noqa: PLC0415

        import httpx2  # noqa: PLC0415

        self.address, self.url = address, address.url
        headers = {"Accept-Encoding": "identity", "User-Agent": "jobsvc"}
        if key:
            if not key.isascii() or not key.isprintable() or " " in key:
                raise Ended(Exit.USAGE, "the key is not usable: a key has printable ASCII characters only")
            headers["Authorization"] = f"Bearer {key}"
        self._errors = httpx2.TransportError
        self._items: dict[str, str] = {}
        is_here = address.host in LOOPBACK
        self._http = httpx2.Client(
            headers=headers,
            timeout=httpx2.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
            # A proxy that the environment names can't reach this machine.
            trust_env=not is_here,
            # To load the authorities takes half of a short command's time. Without any, no certificate is trusted.
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if is_here and self.url.startswith("http:") else True,
        )

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, query: Mapping[str, Any] | None = None, *, has: str | None = None) -> dict[str, Any]:
        """An object. One that lacks the field `has` comes from no service of jobsvc. Raises Ended."""
        return self._object("GET", path, has, params={k: v for k, v in (query or {}).items() if v is not None})

    def post(self, path: str, body: Mapping[str, Any], *, has: str | None = None) -> dict[str, Any]:
        return self._object("POST", path, has, json=body)

    def put(
        self,
        path: str,
        query: list[tuple[str, str]],
        headers: Mapping[str, str],
        body: Iterator[bytes],
        *,
        has: str | None = None,
    ) -> dict[str, Any]:
        """Send `body` as it comes. Its file's size is in the headers, if it is known."""
        return self._object("PUT", path, has, params=query, headers=headers, content=body, timeout=UPLOAD_SECONDS)

    def job(self, job_id: str) -> dict[str, Any]:
        return self.get(job_path(job_id), has="state")

    def items(self, kind: str) -> str:
        """What a kind's items are called, in the plural; "items" where the service does not say."""
        if kind not in self._items:
            try:
                self._items[kind] = printable(str(self.get(kind_path(kind), has="items")["items"]))
            except Ended:
                self._items[kind] = "items"
        return self._items[kind]

    def changed_job(self, job_id: str, version: str) -> Seen:
        """The job, as soon as its version is another one, or after `WAIT_SECONDS` as it is. Raises CantWait."""
        query: dict[str, str | int] = {"wait": WAIT_SECONDS, "unless": version}
        with self._told():
            answer = self._http.get(self.url + job_path(job_id), params=query)
        if answer.status_code == 400 and _parameter_of(answer) in query:
            raise CantWait
        pause = answer.headers.get("Retry-After", "") if answer.is_success else ""
        return Seen(self._object_of(answer, "state"), float(pause) if pause.isdigit() else 0.0)

    def jobs(self, limit: int | None, query: Mapping[str, Any]) -> tuple[list[dict[str, Any]], str | None]:
        """The latest jobs that the query finds, `limit` at most (None: all), and where the next page would begin."""
        return self.newest("/jobs", "jobs", limit, query)

    def newest(
        self, path: str, name: str, limit: int | None, query: Mapping[str, Any]
    ) -> tuple[list[dict[str, Any]], str | None]:
        """The same of any list whose pages begin with the newest; `name` is what it is called in an answer."""
        found: list[dict[str, Any]] = []
        after = None
        while limit is None or len(found) < limit:
            most = MAX_PAGE if limit is None else min(MAX_PAGE, limit - len(found))
            page = self.get(path, {**query, "limit": most, "after": after}, has=name)
            found += page[name]
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
            if answer.headers.get("Content-Type", "").startswith("text/html"):
                # A page for people, such as a proxy's, must not end in somebody's file.
                raise self._stranger(answer)
            yield answer

    def _object(self, method: str, path: str, has: str | None, **more: Any) -> dict[str, Any]:
        until = monotonic() + BUSY_SECONDS
        while True:
            with self._told():
                answer = self._http.request(method, self.url + path, **more)
            # Who looks has other ways to go on, and the body of a PUT can't be sent again.
            if method != "POST" or not _is_busy(answer) or monotonic() > until:
                return self._object_of(answer, has)
            sleep(BUSY_PAUSE_SECONDS)

    def _object_of(self, answer: httpx2.Response, has: str | None) -> dict[str, Any]:
        if not answer.is_success:
            raise self._refusal(answer)
        found = _json(answer)
        if not isinstance(found, dict) or (has is not None and has not in found):
            raise self._stranger(answer)
        return found

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except self._errors as error:
            told = f"{self.address} can't be reached: {reason(error)}"
            raise Unreachable(told, hint=self.address.what_to_do()) from None

    def _refusal(self, answer: httpx2.Response) -> Ended:
        """What an answer that is no success says: a problem document, or an error as the original had them."""
        status = answer.status_code
        found = _json(answer)
        if not isinstance(found, dict) or not TEXTS & found.keys():
            return self._stranger(answer)
        if status in NO_ROUTE and found.get("type") == "about:blank":
            return self._stranger(answer)
        texts = (found.get(name) for name in TEXTS)
        text = printable(next(str(text) for text in texts if text))
        code = _code(status, found)
        if code is Exit.UNREACHABLE:
            return Unreachable(f"{self.address} can't answer at the moment: {text}", status)
        return Ended(code, text, status)

    def _stranger(self, answer: httpx2.Response) -> Ended:
        """An answer that no service of jobsvc gives, or none to such a request."""
        status = answer.status_code
        told = f"{self.address} does not answer as jobsvc does: "
        if answer.is_redirect:
            told += f"it sends to {printable(answer.headers.get('Location', 'nowhere'))} (status {status})"
            return Unreachable(told, status, "If the service is there, name it so, with --url or JOBSVC_URL.")
        if status in (401, 403):
            told += f"it lets nobody in without a key, or not with this one (status {status})"
            return Ended(Exit.REFUSED, told, status, "A key is given with --key or JOBSVC_API_KEY.")
        if status in NO_ROUTE:
            told += f"it knows no {answer.request.url.path} (status {status})"
            return Unreachable(told, status, self.address.unknown_path())
        what = "a page for people" if "html" in answer.headers.get("Content-Type", "") else "something else"
        told += f"its answer is {what} (status {status})"
        return Unreachable(told, status, f"Is another program there? {self.address.what_to_do()}")


def _code(status: int, told: Mapping[str, Any]) -> Exit:
    """How a command ends whose request was refused."""
    if status in (404, 410) or told.get("errorType") == "invalid_job":
        return Exit.NOT_FOUND
    if status in (408, 429) or status >= 500:
        return Exit.UNREACHABLE
    if "parameter" in told or str(told.get("errorType")).startswith("invalid_"):
        return Exit.USAGE
    return Exit.REFUSED


def _is_busy(answer: httpx2.Response) -> bool:
    found = _json(answer) if answer.status_code == 503 else None
    return isinstance(found, dict) and found.get("type") in BUSY


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
