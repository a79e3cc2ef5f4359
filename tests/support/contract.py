"""Holds answers against the contract: an answer that it does not have fails the test that saw it."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import jsonschema_rs
import orjson
from flask import Flask
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from jobsvc.web.openapi.document import document, path_of
from jobsvc.web.problems import MIMETYPE as PROBLEM

_LONE_HALF = re.compile(rb"\\ud[89a-f][0-9a-f]{2}")
"""Half a character, as JSON of what others have written to the database may have it: orjson refuses it."""

HOW = "what a route answers is stated beside it, with @answers: see CONTRIBUTING.md, A route"

_CONTRACTS: dict[tuple[str, ...], Contract] = {}
"""By the rules of an application: what is answered does not depend on its kinds. Written by any thread, the same."""


def check_answer(app: Flask, answer: TestResponse) -> None:
    """Fails if the contract of the application does not have this answer, which is read whole."""
    rules = tuple(sorted(f"{rule.rule} {rule.endpoint}" for rule in app.url_map.iter_rules()))
    if rules not in _CONTRACTS:
        _CONTRACTS[rules] = Contract(document(app, app.extensions["jobsvc"].kinds))
    method = "GET" if answer.request.method == "HEAD" else answer.request.method
    rule = _rule(app, method, answer.request.path)
    if method == "OPTIONS" and answer.status_code == 200:
        return
    if rule is None or answer.status_code == 405 or method == "OPTIONS":
        _CONTRACTS[rules].check_no_route(answer)
    elif rule.endpoint != "static":
        _CONTRACTS[rules].check(path_of(rule.rule), method, answer)


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

    def check_no_route(self, answer: TestResponse) -> None:
        """What is answered where there is no route, or none for this method."""
        assert answer.status_code in (400, 403, 404, 405), told(answer)
        assert answer.mimetype == PROBLEM, told(answer)

    def check(self, path: str, method: str, answer: TestResponse) -> None:
        responses = self._document["paths"][path][method.lower()]["responses"]
        status = str(answer.status_code)
        assert status in responses, f"{told(answer)}: this status is not in the contract; {HOW}"
        response = responses[status]
        if "$ref" in response:
            response = self._document["components"]["responses"][response["$ref"].rpartition("/")[2]]
        content = response.get("content", {})
        if answer.status_code in (204, 304) or (not content and not answer.data):
            assert not answer.data, told(answer)
            return
        assert answer.mimetype in content, f"{told(answer)}: this content type is not in the contract; {HOW}"
        described = content[answer.mimetype]
        if answer.request.method == "HEAD" or "$ref" not in described["schema"]:
            return
        body = orjson.loads(_LONE_HALF.sub(rb"?", answer.data))
        wrong = [f"{error.instance_path}: {error.message}" for error in self._check(described["schema"]["$ref"])(body)]
        assert wrong == [], f"{told(answer)}: the body is not as the contract has it; {HOW}"
        name = body["type"] if answer.mimetype == PROBLEM else body.get("errorType")
        if name is not None and "examples" in described:
            assert is_example(name, described["examples"]), f"{told(answer)}: {name} is not in the contract; {HOW}"

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


def told(answer: TestResponse) -> str:
    request = answer.request
    return f"{request.method} {request.path}: {answer.status} {answer.content_type} {answer.data[:300]!r}"
