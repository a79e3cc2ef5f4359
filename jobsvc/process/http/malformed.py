"""The answer to what gunicorn's parser does not take for a request, or what went wrong before the application had it.

gunicorn decides which status it is and writes the log's line; its page of HTML has none of our headers, and repeats
what the client has sent. So another answer with that status takes its place.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

from jobsvc.process.http.answer import whole
from jobsvc.process.http.transfer_slots import refusal_body

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


def in_place_of(page: bytes | bytearray, cfg: Any) -> bytes:
    """The answer of ours with the status of gunicorn's page. `cfg` is gunicorn's."""
    found = _STATUS.match(page)
    status = HTTPStatus(int(found[1])) if found is not None else HTTPStatus.INTERNAL_SERVER_ERROR
    name, detail = _told(status, cfg)
    return whole(status, status.phrase, refusal_body(status, name, status.phrase, detail))


def _told(status: HTTPStatus, cfg: Any) -> tuple[str, str]:
    """What is wrong, by a name and in words that have nothing of what the client has sent."""
    known = {
        HTTPStatus.REQUEST_URI_TOO_LONG: (
            "request_line_too_long",
            f"the first line of a request may have {cfg.limit_request_line} bytes",
        ),
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: (
            "header_too_large",
            f"the header of a request may have {cfg.limit_request_fields} fields of {cfg.limit_request_field_size} "
            "bytes each",
        ),
        HTTPStatus.EXPECTATION_FAILED: ("expectation_failed", "the only expectation that is met is 100-continue"),
        HTTPStatus.NOT_IMPLEMENTED: (
            "unknown_transfer_coding",
            "the only Transfer-Encoding that is understood is chunked",
        ),
        HTTPStatus.FORBIDDEN: ("not_from_here", "what was sent may come from a proxy that is trusted alone"),
        HTTPStatus.INTERNAL_SERVER_ERROR: ("internal_error", "the server could not answer; its log says why"),
    }
    return known.get(status, ("malformed_request", "what was sent is no well-formed HTTP request"))
