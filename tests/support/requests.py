"""What the tests of the routes send."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from typing import Any, BinaryIO

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from jobsvc.service.new_job import NewJob
from jobsvc.web.services import Services
from tests.support.gated import Gated

BOUNDARY = "the-boundary"
CSV = b"date,n\n2026-01-01,1\n2026-01-02,2\n"


def part(name: str | None, content: bytes, filename: str | bytes | None = None) -> bytes:
    """One part of a multipart body, byte for byte as given."""
    disposition = b"Content-Disposition: form-data"
    if name is not None:
        disposition += b'; name="' + name.encode() + b'"'
    if filename is not None:
        disposition += b'; filename="' + (filename if isinstance(filename, bytes) else filename.encode()) + b'"'
    return b"--" + BOUNDARY.encode() + b"\r\n" + disposition + b"\r\n\r\n" + content + b"\r\n"


def whole(*parts: bytes) -> bytes:
    """A complete multipart body."""
    return b"".join(parts) + b"--" + BOUNDARY.encode() + b"--\r\n"


def send(
    client: FlaskClient,
    body: bytes | BinaryIO,
    route: str = "/uploadCSV",
    *,
    length: int | None = None,
    chunked: bool = False,
    content_type: str = f"multipart/form-data; boundary={BOUNDARY}",
) -> TestResponse:
    """POST a body. `length` is a Content-Length other than the true one; `chunked` sends none at all."""
    environ: dict[str, Any] = {}
    if length is not None:
        environ["CONTENT_LENGTH"] = str(length)
    if chunked:
        # What gunicorn hands to the application for Transfer-Encoding: chunked.
        environ = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    stream = BytesIO(body) if isinstance(body, bytes) else body
    return client.post(route, input_stream=stream, content_type=content_type, environ_overrides=environ)


def upload(client: FlaskClient, content: bytes = CSV, route: str = "/uploadCSV", **fields: str) -> str:
    """Upload a file; returns the job's id."""
    form = [part(name, text.encode()) for name, text in fields.items()]
    answer = send(client, whole(*form, part("file", content, "x.csv")), route)
    assert answer.status_code == 200, answer.text
    job_id: str = answer.json["Job ID"]  # type: ignore[index]
    return job_id


def submit_gated(services: Services, user: str = "Jon-Doe", **params: Any) -> str:
    """A job of the kind `gated`, of ten items unless told otherwise."""
    new = NewJob(id=services.jobs.new_id(user, "gated"), kind="gated", user=user, params={"count": 10, **params})
    return services.jobs.submit(new).id


def held(services: Services, gated: Gated, **params: Any) -> str:
    """A running gated job that waits at the gate with its first item."""
    job_id = submit_gated(services, **params)
    gated.gate.wait_reached(1)
    return job_id


@contextmanager
def meanwhile(client: FlaskClient, method: str, path: str) -> Iterator[Future[TestResponse]]:
    """Send a request from another thread, while the block does something else."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(client.application.test_client().open, path, method=method)


def assert_problem(answer: TestResponse, status: int, kind: str = "about:blank") -> dict[str, Any]:
    """The answer is a problem document as RFC 9457 has it; returns it."""
    assert answer.status_code == status, answer.text
    assert answer.content_type == "application/problem+json"
    found = answer.json
    assert isinstance(found, dict)
    assert found["status"] == status
    assert found["type"] == (kind if kind == "about:blank" else f"urn:jobsvc:{kind}")
    assert found["title"]
    assert isinstance(found["title"], str)
    return found


def told(answer: TestResponse) -> tuple[int, str]:
    """The status and the error type of a refusal by one of the original's routes, which says why in words too."""
    assert isinstance(answer.json, dict)
    assert list(answer.json) == ["errorType", "message"]
    assert answer.json["message"]
    return answer.status_code, answer.json["errorType"]
