"""Answers with a tag: whoever has the same already gets 304 and no body (RFC 9110, sections 8.8.3 and 13)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from flask import Response, jsonify, request


def conditional(body: Mapping[str, Any], tag: str | None = None) -> Response:
    """`body` as JSON, or 304 where the request's If-None-Match has its tag.

    `tag` is a text that is another one whenever the body is; without it, a digest of the body
    is taken. `Cache-Control: no-cache` lets a cache keep the answer and has it ask before each use.
    """
    if tag is not None and request.if_none_match.contains_weak(tag):
        # Nobody reads the body of a 304: it is not made. Other conditions of the request may want one yet.
        unchanged = tagged(Response(mimetype="application/json"), tag)
        if unchanged.status_code == HTTPStatus.NOT_MODIFIED:
            return unchanged
    return tagged(jsonify(body), tag)


def tagged(answer: Response, tag: str | None = None) -> Response:
    """The same for an answer that is made already. It is no stream."""
    if tag is None:
        answer.add_etag()
    else:
        answer.set_etag(tag)
    answer.cache_control.no_cache = True
    answer.make_conditional(request)
    return answer


def list_tag(versions: Iterable[str]) -> str:
    """A tag for a list, from the versions of what is in it."""
    return hashlib.sha1("\n".join(versions).encode(), usedforsecurity=False).hexdigest()
