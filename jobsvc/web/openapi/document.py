"""The contract of an application, OpenAPI 3.1: a walk over its routes, and what each has stated of itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from flask import Flask
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from werkzeug.routing import Rule

from jobsvc.kinds.contract import Kind
from jobsvc.web import access, takes
from jobsvc.web.browsers import cookie, forms
from jobsvc.web.browsers.outcomes import OUTCOMES
from jobsvc.web.openapi import answers, known_shapes, parameters, responses, shapes
from jobsvc.web.openapi.answers import EACH_KIND, Answers
from jobsvc.web.openapi.creating import URL_ENCODED, Creating, in_query
from jobsvc.web.openapi.parameters import without_default
from jobsvc.web.openapi.references import SCHEMAS

VERSION = "1"
"""Of the contract: a change that clients must know of makes another."""

ABOUT = """\
Runs long jobs over CSV files and date ranges, which can be stopped, started, terminated and rolled back while they run.

Refusals are problem documents (RFC 9457), but for the original's routes, which answer `errorType` and `message`.
Where a route takes GET, it takes HEAD too. A parameter that a route does not know is refused, never ignored.
Answers may get further fields: let pass those that you do not know."""

TAGS = {
    "original": "The four routes of the original.",
    "jobs": "Looking at jobs, steering them, and what they left over.",
    "checking": "Check first, then apply: what a job has found in its file.",
    "actions": "Pausing, resuming, terminating and rolling back many jobs at once.",
    "kinds": "The kinds of job, and creating a job of any of them.",
    "previews": "How a file would be read, before anybody uploads it.",
    "data": "What jobs made.",
    "workers": "The processes that run jobs.",
    "service": "The service itself: how it is at work, and what it is.",
    "keys": "Who is let in.",
    "audit": "Who did what.",
    "dashboard": "Pages for people.",
    "assets": "Styles, scripts and icons of the pages.",
    "login": "Logging in with a browser.",
    "health": "Is it alive, and can it take work?",
    "metrics": "What is measured, for Prometheus.",
    "contract": "This document, and a page that shows it.",
}
"""By blueprint."""

KEY = "key"

ABOUT_KEYS = "A key, where the service has any: see docs/access.md"

SESSION = "session"

ABOUT_SESSIONS = f"The cookie of a browser that has logged in; over HTTPS it is called {cookie.SECURE_NAME}"

TO_LOGIN = {"description": "To the login page: for a browser that is not logged in and asks for text/html"}

BACK_TO_THE_PAGE = {"description": "Back to the page: for a form in a browser, whose request prefers text/html"}

_NAMED = re.compile(r"<(?:[^<>:]+:)?(\w+)>")
"""A name in the path of a rule."""

IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": parameters.IDEMPOTENCY_KEY["description"],
    "schema": {name: value for name, value in parameters.IDEMPOTENCY_KEY.items() if name != "description"},
}


IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "description": "the ETag of an earlier answer: 304 if the answer would be the same",
    "schema": {"type": "string"},
}


class UnstatedRoute(Exception):
    """A route does not state what it answers."""


def path_of(rule: str) -> str:
    """The path of a rule, as the contract has it."""
    return _NAMED.sub(r"{\1}", rule)


def rules(app: Flask) -> Iterator[Rule]:
    """The rules that belong into the contract."""
    return app.url_map.iter_rules()


def document(app: Flask, kinds: Mapping[str, Kind]) -> dict[str, Any]:
    """The contract. Raises UnstatedRoute and UnknownShape."""
    creating = Creating(kinds)
    paths: dict[str, Any] = {}
    used: set[type[BaseModel]] = {shapes.Problem, shapes.RefusedRequest}
    for rule in rules(app):
        view = app.view_functions[rule.endpoint]
        stated = answers.stated(view)
        if stated is None:
            raise UnstatedRoute(f"{rule.rule} does not state what it answers: jobsvc.web.openapi.answers")
        used |= {known_shapes.named(body) for body in stated.bodies.values() if isinstance(body, str)}
        known = takes.stated(view) or takes.Takes()
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            for path, kind in _places(rule, stated, kinds):
                operation = _operation(rule, method, known, stated, creating, kind)
                operation |= _secured(operation["responses"], method, view)
                if method == "POST" and access.act_of(view) in OUTCOMES:
                    operation["responses"]["303"] = BACK_TO_THE_PAGE
                if method == "POST" or rule.endpoint.startswith(f"{forms.BLUEPRINT}."):
                    operation["responses"] = responses.or_pages(operation["responses"])
                operation["summary"] = _summary(view.__doc__, kind if stated.creates == EACH_KIND else None)
                paths.setdefault(path, {})[method.lower()] = operation
    tags = dict.fromkeys(operation["tags"][0] for path in paths.values() for operation in path.values())
    return {
        "openapi": "3.1.1",
        "info": {"title": "jobsvc", "version": VERSION, "description": ABOUT},
        "tags": [{"name": tag, "description": TAGS.get(tag, "")} for tag in sorted(tags, key=_place)],
        "paths": dict(sorted(paths.items(), key=lambda path: _place(next(iter(path[1].values()))["tags"][0]))),
        "components": {
            "schemas": _schemas(used) | creating.schemas,
            "responses": responses.common(),
            "securitySchemes": {
                KEY: {"type": "http", "scheme": "bearer", "description": ABOUT_KEYS},
                SESSION: {"type": "apiKey", "in": "cookie", "name": cookie.NAME, "description": ABOUT_SESSIONS},
            },
        },
    }


def _place(tag: str) -> int:
    return list(TAGS).index(tag) if tag in TAGS else len(TAGS)


def _places(rule: Rule, stated: Answers, kinds: Mapping[str, Kind]) -> Iterator[tuple[str, str | None]]:
    """The path of a rule, and the kind of the jobs that are created there; for a path that names one, each besides."""
    if stated.creates == EACH_KIND:
        yield path_of(rule.rule), None
        yield from ((_NAMED.sub(kind, rule.rule), kind) for kind in kinds)
    else:
        yield path_of(rule.rule), stated.creates


def _operation(
    rule: Rule,
    method: str,
    known: takes.Takes,
    stated: Answers,
    creating: Creating,
    kind: str | None,
) -> dict[str, Any]:
    blueprint, _, name = rule.endpoint.rpartition(".")
    words = [blueprint or "app", name]
    words += [kind] if kind and stated.creates == EACH_KIND else []
    words += [method.lower()] if method != min((rule.methods or set()) - {"HEAD", "OPTIONS"}) else []
    made: dict[str, Any] = {"operationId": "_".join(words), "tags": [blueprint or "app"], "summary": ""}
    made["parameters"] = _in_path(rule, kind if stated.creates == EACH_KIND else None)
    for name in (*known.query, *known.known):
        made["parameters"].append(in_query(name, without_default(_schema(name, rule.endpoint))))
    if known.body:
        properties = {name: _schema(name, rule.endpoint) for name in known.body}
        schema = {"type": "object", "properties": properties, "additionalProperties": False}
        made["requestBody"] = {"content": {each: {"schema": schema} for each in ("application/json", URL_ENCODED)}}
    if known.known and method == "POST":
        schema = {"type": "object", "properties": {name: _schema(name, rule.endpoint) for name in known.known}}
        made["requestBody"] = {"content": {URL_ENCODED: {"schema": schema}}}
    if stated.can_be_unchanged:
        made["parameters"].append(IF_NONE_MATCH)
    if stated.repeatable:
        made["parameters"].append(IDEMPOTENCY_KEY)
    if stated.previews:
        known_ones = [in_query(name, _schema(name, rule.endpoint)) for name in known.query]
        made["parameters"] += creating.any_query()
        made["requestBody"] = creating.beginning({one["name"]: one["schema"] for one in known_ones})
    if stated.creates:
        made["parameters"] += [*(creating.query(kind) if kind else ()), IDEMPOTENCY_KEY]
        made["requestBody"] = creating.body(kind, form=not stated.original) if kind else creating.any_body()
    made["responses"] = responses.of(stated)
    return made


def _secured(responses: dict[str, Any], method: str, view: Callable[..., Any]) -> dict[str, Any]:
    """What lets a request through, and what a browser is answered that has neither."""
    if access.stated(view) is None:
        return {"security": []}
    if method != "GET":
        return {"security": [{KEY: []}, {SESSION: []}]}
    if access.get_changes(view):
        return {"security": [{KEY: []}]}
    return {"security": [{KEY: []}, {SESSION: []}], "responses": {**responses, "303": TO_LOGIN}}


def _in_path(rule: Rule, kind: str | None) -> list[dict[str, Any]]:
    names = [] if kind else _NAMED.findall(rule.rule)
    found = []
    for name in names:
        schema = parameters.PATH_NAMES.get(name, {"type": "string"})
        found.append({**in_query(name, schema), "in": "path", "required": True})
    return found


def _schema(name: str, endpoint: str) -> parameters.Schema:
    return parameters.OF_ROUTES.get((endpoint, name)) or parameters.NAMES.get(name, {"type": "string"})


def _summary(text: str | None, kind: str | None) -> str:
    first = (text or "").strip().partition("\n")[0].rstrip(".")
    return f"{first}: {kind}" if kind else first


def _schemas(used: set[type[BaseModel]]) -> dict[str, Any]:
    models = sorted(used, key=lambda model: model.__name__)
    _, defined = models_json_schema([(model, "serialization") for model in models], ref_template=SCHEMAS)
    found: dict[str, Any] = defined["$defs"]
    return found
