"""What a route answers, as the contract has it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from jobsvc.web.openapi import known_shapes, shapes
from jobsvc.web.openapi.answers import Answers, Body, Raw
from jobsvc.web.openapi.references import reference
from jobsvc.web.openapi.refusals import ANYWHERE, by_status, of_route
from jobsvc.web.problems import MIMETYPE, Told

RETRY = frozenset({429, 503, 507})
"""Statuses whose answers say when to ask again."""

_COMMON = "Any{status}"
"""The names of the answers that routes have in common."""


_OR_PAGE = "OrPage"
"""How the names of those end that may be told on a page."""

_PAGE = {"text/html": {"schema": {"type": "string"}}}


def common() -> dict[str, Any]:
    """The answers that any route may give, by the names by which `of` and `or_pages` refer to them."""
    found = {_COMMON.format(status=status): _refusal(status, told) for status, told in by_status(ANYWHERE).items()}
    return found | {f"{name}{_OR_PAGE}": _or_page(answer) for name, answer in found.items()}


def or_pages(responses: dict[str, Any]) -> dict[str, Any]:
    """The same answers, where browsers get a page instead of each problem document: see `web/browsers/forms.py`."""
    return {
        status: {"$ref": f"{answer['$ref']}{_OR_PAGE}"} if "$ref" in answer else _or_page(answer)
        for status, answer in responses.items()
    }


def _or_page(answer: dict[str, Any]) -> dict[str, Any]:
    content = answer.get("content", {})
    return {**answer, "content": content | _PAGE} if MIMETYPE in content else answer


def of(answers: Answers) -> dict[str, Any]:
    """All answers of a route, by status."""
    problems = of_route(answers)
    found: dict[str, Any] = {}
    for status in sorted({*answers.bodies, *answers.original, *problems}):
        only_common = status not in answers.bodies and status not in answers.original
        if only_common and problems[status] == by_status(ANYWHERE).get(status):
            found[str(status)] = {"$ref": f"#/components/responses/{_COMMON.format(status=status)}"}
            continue
        found[str(status)] = _answer(status, answers, problems.get(status, []))
    return found


def _answer(status: int, answers: Answers, problems: list[Told]) -> dict[str, Any]:
    made = _refusal(status, problems)
    if status in answers.bodies:
        body = answers.bodies[status]
        made["content"] = _content(body) | made["content"]
        made["description"] = _description(status, body)
    if status in answers.original:
        kinds = {name: {"value": {"errorType": name, "message": "…"}} for name in answers.original[status]}
        refused = {"schema": reference(shapes.RefusedRequest.__name__), "examples": kinds}
        made["content"] = {"application/json": refused} | made["content"]
        made["description"] = ", ".join([*answers.original[status], *(told.title for told in problems)])
    if status in (HTTPStatus.OK, HTTPStatus.NOT_MODIFIED) and answers.can_be_unchanged:
        tag = {"description": "for `If-None-Match`: the next time, what is the same is answered with 304"}
        made["headers"] = {"ETag": {**tag, "schema": {"type": "string"}}}
    if status == HTTPStatus.CREATED:
        made["headers"] = {"Location": {"description": "the job", "schema": {"type": "string"}}}
    return {name: value for name, value in made.items() if value}


def _content(body: Body) -> dict[str, Any]:
    if body is None:
        return {}
    if isinstance(body, Raw):
        return {media_type: {"schema": {"type": "string"}} for media_type in body.media_types}
    return {"application/json": {"schema": reference(body)}}


def _description(status: int, body: Body) -> str:
    said = (known_shapes.named(body).__doc__ or "").strip() if isinstance(body, str) else ""
    return said or HTTPStatus(status).phrase


def _refusal(status: int, problems: list[Told]) -> dict[str, Any]:
    """An answer that is one of these problems: the examples are all there are."""
    made: dict[str, Any] = {"description": "; ".join(told.title for told in problems), "content": {}}
    if problems:
        examples = {told.kind or "about:blank": {"summary": told.title, "value": _example(told)} for told in problems}
        made["content"][MIMETYPE] = {"schema": reference(shapes.Problem.__name__), "examples": examples}
    if status in RETRY:
        seconds = {"description": "seconds after which to ask again", "schema": {"type": "integer"}}
        made["headers"] = {"Retry-After": seconds}
    return made


def _example(told: Told) -> dict[str, Any]:
    kind = f"urn:jobsvc:{told.kind}" if told.kind else "about:blank"
    return {"type": kind, "title": told.title, "status": told.status}
