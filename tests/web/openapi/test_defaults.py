"""What a generated client sends by itself, the service takes: the defaults that the contract names."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support.requests import upload

FILE = b"date,team,amount\n2026-01-31,reds,1\n"

NEEDED = {"from": "2026-01-01", "to": "2026-01-02", "user": "ann", "role": "admin"}
"""What routes need beside the defaults, by name."""

NEEDED_OF = {
    "/updateTask": [{"action": "stop"}, {"action": "terminate"}, {"action": "start"}],
    "/jobs/actions": [{"action": verb} for verb in ("pause", "resume", "terminate", "rollback")],
}
"""The same by path, each with a request of its own."""

REFUSED = {404, 409}
"""The job is in no state for it, or there is no such thing: the request itself was understood."""


def operations(contract: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in contract["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


@pytest.fixture
def contract(client: FlaskClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").get_json()
    return found


def test_no_parameter_of_a_query_has_a_default_which_a_generated_client_would_send(contract: dict[str, Any]) -> None:
    found = [
        f"{method} {path}: {parameter['name']}"
        for method, path, operation in operations(contract)
        for parameter in operation["parameters"]
        if parameter["in"] != "path" and "default" in parameter["schema"]
    ]
    assert found == []


def test_what_a_default_is_where_it_differs_is_told_in_words(contract: dict[str, Any]) -> None:
    def wait(path: str) -> str:
        (found,) = [it for it in contract["paths"][path]["get"]["parameters"] if it["name"] == "wait"]
        text: str = found["description"]
        return text

    assert wait("/jobs/{job_id}").startswith("with `unless`: ")
    assert wait("/jobs/{job_id}").endswith("by default 5.0")
    assert wait("/jobs/actions/{action_id}").endswith("by default 0.0")


def test_every_request_with_the_defaults_of_its_body_is_taken(make_app: Callable[..., Flask]) -> None:
    client = make_app().test_client()
    contract = client.get("/openapi.json").get_json()
    job = upload(client, FILE)
    wrong, asked = [], 0
    # Once there is a key, nothing is answered without one: keys come last, and their first is shown from then on.
    for method, path, operation in sorted(operations(contract), key=lambda each: each[1] == "/keys"):
        if method == "delete":
            continue
        bodies = operation.get("requestBody", {}).get("content", {"": {"schema": {}}})
        for needed in NEEDED_OF.get(path, [{}]):
            for content_type, body in bodies.items():
                if content_type == "application/octet-stream":
                    continue
                for schema in alternatives(contract, body["schema"]):
                    sent = defaults(schema) | {name: NEEDED[name] for name in NEEDED if name in properties(schema)}
                    answer = ask(client, method, path.replace("{job_id}", job), content_type, sent | needed, schema)
                    asked += 1
                    if (method, path, answer.status_code) == ("post", "/keys", 201):
                        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {answer.get_json()['key']}"
                    if not (answer.status_code < 400 or answer.status_code in REFUSED):
                        wrong.append(f"{method} {path} {sent}: {answer.status_code} {answer.text}")
    assert wrong == []
    assert asked > 40


def alternatives(contract: dict[str, Any], schema: dict[str, Any]) -> list[dict[str, Any]]:
    """The schemas of which one will do."""
    if "anyOf" in schema:
        return [found for each in schema["anyOf"] for found in alternatives(contract, each)]
    if "$ref" in schema:
        return [contract["components"]["schemas"][schema["$ref"].rpartition("/")[2]]]
    return [schema]


def properties(schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = schema.get("properties", {})
    return found


def defaults(schema: dict[str, Any]) -> dict[str, Any]:
    return {name: each["default"] for name, each in properties(schema).items() if "default" in each}


def ask(client: FlaskClient, method: str, path: str, content_type: str, sent: dict[str, Any], schema: Any) -> Any:
    """As a client does that the contract has made: nothing but what is needed, and the defaults."""
    if path == "/updateTask" and method == "get":
        return client.get(path, query_string={**sent, "id": job_of(client)})
    if path == "/updateTask":
        sent = sent | {"id": job_of(client)}
    if content_type == "application/json":
        return client.open(path, method=method.upper(), json=sent)
    if content_type == "":
        return client.open(path, method=method.upper())
    form = {name: str(value).lower() if isinstance(value, bool) else value for name, value in sent.items()}
    if content_type == "multipart/form-data":
        form["file"] = (io.BytesIO(FILE), "file.csv")
    return client.open(path, method=method.upper(), data=form, content_type=content_type)


def job_of(client: FlaskClient) -> str:
    found: str = client.get("/jobs").get_json()["jobs"][-1]["id"]
    return found
