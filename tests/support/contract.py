"""Holds answers against the contract: an answer that it does not have fails the test that saw it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlsplit

import jsonschema_rs
import orjson
from flask import Flask
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from jobsvc.kinds.registry import load_kinds
from jobsvc.process.app import _add_web
from jobsvc.web.openapi.document import document, path_of
from jobsvc.web.problems import MIMETYPE as PROBLEM
from jobsvc.web.services import Services

_LONE_HALF = re.compile(rb"(?<!\\)((?:\\\\)*)\\ud[89a-f][0-9a-f]{2}")
"""Half a character, as JSON of what others have written to the database may have it: orjson refuses it."""

HOW = "what a route answers is stated beside it, with @answers: see CONTRIBUTING.md, A route"


@dataclass(frozen=True)
class Seen:
    """An answer, read whole, and what it answers."""

    method: str
    path: str
    status: int
    content_type: str
    body: bytes

    @property
    def mimetype(self) -> str:
        return self.content_type.partition(";")[0].strip()

    def __str__(self) -> str:
        return f"{self.method} {self.path}: {self.status} {self.content_type} {self.body[:300]!r}"


EXTENSION = "contract of the tests"

_CONTRACTS: dict[tuple[str, ...], Contract] = {}
"""By the rules of an application: what is answered does not depend on its kinds. Written by any thread, the same."""


def check_answer(app: Flask, answer: TestResponse) -> None:
    """Fails if the contract of the application does not have this answer."""
    asked = answer.request
    check_seen(app, Seen(asked.method, asked.path, answer.status_code, answer.content_type or "", answer.data))


def check_served(method: str, url: str, status: int, content_type: str | None, body: bytes) -> None:
    """The same for the answer of a server."""
    check_seen(_routes(), Seen(method, urlsplit(url).path, status, content_type or "", body))


@cache
def _routes() -> Flask:
    """An application that has all routes, and nothing that could answer."""
    app = Flask("routes", static_folder=None)
    _add_web(app, cast("Services", SimpleNamespace(kinds=load_kinds(()))))
    return app


def check_seen(app: Flask, seen: Seen) -> None:
    contract = _contract(app)
    method = "GET" if seen.method == "HEAD" else seen.method
    rule = _rule(app, method, seen.path)
    if method == "OPTIONS" and seen.status == 200:
        return
    if rule is None or seen.status == 405 or method == "OPTIONS":
        contract.check_no_route(seen)
    else:
        contract.check(path_of(rule.rule), method, seen)


def _contract(app: Flask) -> Contract:
    found = app.extensions.get(EXTENSION)
    if found is None:
        rules = tuple(sorted(f"{rule.rule} {rule.endpoint}" for rule in app.url_map.iter_rules()))
        if rules not in _CONTRACTS:
            _CONTRACTS[rules] = Contract(document(app, app.extensions["jobsvc"].kinds))
        found = app.extensions[EXTENSION] = _CONTRACTS[rules]
    return cast("Contract", found)


def _rule(app: Flask, method: str, path: str) -> Rule | None:
    try:
        rule, _ = app.url_map.bind("localhost").match(path, method, return_rule=True)
    except HTTPException:
        return None
    found: Rule = rule
    return found


class Contract:
    def __init__(self, document: dict[str, Any]) -> None:
        # Clients let pass what they do not know, so that answers may grow. Tests do not.
        self._document = closed(document)
        self._check = cache(self._compiled)

    def check_no_route(self, seen: Seen) -> None:
        """What is answered where there is no route, or none for this method: among pages, to browsers, a page."""
        assert seen.status in (400, 401, 403, 404, 405, 429), seen
        assert seen.mimetype == PROBLEM or (seen.path.startswith("/ui/") and seen.mimetype == "text/html"), seen

    def check(self, path: str, method: str, seen: Seen) -> None:
        responses = self._document["paths"][path][method.lower()]["responses"]
        assert str(seen.status) in responses, f"{seen}: this status is not in the contract; {HOW}"
        response = responses[str(seen.status)]
        if "$ref" in response:
            response = self._document["components"]["responses"][response["$ref"].rpartition("/")[2]]
        content = response.get("content", {})
        if seen.status in (204, 304) or (not content and not seen.body):
            assert not seen.body, seen
            return
        assert seen.mimetype in content, f"{seen}: this content type is not in the contract; {HOW}"
        described = content[seen.mimetype]
        if seen.method == "HEAD" or "$ref" not in described["schema"]:
            return
        # A search of all of a long answer takes longer than all else that is done with it.
        text = _LONE_HALF.sub(rb"\1?", seen.body) if b"\\ud" in seen.body else seen.body
        body = orjson.loads(text)
        wrong = [f"{error.instance_path}: {error.message}" for error in self._check(described["schema"]["$ref"])(body)]
        assert wrong == [], f"{seen}: the body is not as the contract has it; {HOW}"
        name = body["type"] if seen.mimetype == PROBLEM else body.get("errorType")
        if name is not None and "examples" in described:
            assert is_example(name, described["examples"]), f"{seen}: {name} is not in the contract; {HOW}"

    def _compiled(self, reference: str) -> Any:
        schema = {"$ref": reference, "components": {"schemas": self._document["components"]["schemas"]}}
        return jsonschema_rs.validator_for(schema, validate_formats=True).iter_errors


def is_example(name: str, examples: dict[str, Any]) -> bool:
    return name.removeprefix("urn:jobsvc:") in examples or (
        "invalid_<field>" in examples and name.startswith("invalid_")
    )


def closed(schema: Any) -> Any:
    """The same, where no object has a field that is not described."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: closed(value) for name, value in schema.items()}
    if schema.get("type") == "object" and "properties" in schema:
        made.setdefault("additionalProperties", False)
    return made
