"""The contract is whole, valid, and made from the code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openapi_spec_validator import validate
from pydantic import BaseModel, Field

from jobsvc.jobs.errors import JobError
from jobsvc.kinds import KindParams
from jobsvc.web.access import public
from jobsvc.web.openapi import known_shapes
from jobsvc.web.openapi.answers import answers
from jobsvc.web.openapi.document import UnstatedRoute, document, path_of, rules
from jobsvc.web.openapi.known_shapes import UnknownShape
from jobsvc.web.openapi.parameters import NAMES
from jobsvc.web.problems import told
from jobsvc.web.takes import stated, takes
from tests.support.gated import Gated


@pytest.fixture(scope="module")
def contract(shared_client: FlaskClient) -> dict[str, Any]:
    found: dict[str, Any] = shared_client.get("/openapi.json").get_json()
    return found


def operations(contract: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in contract["paths"].items():
        yield from ((f"{method} {path}", operation) for method, operation in methods.items())


def test_it_is_a_valid_document(contract: dict[str, Any]) -> None:
    assert contract["openapi"].startswith("3.1")
    validate(contract)


def test_every_rule_of_the_application_is_in_it_with_its_methods(
    shared_client: FlaskClient, contract: dict[str, Any]
) -> None:
    found = list(shared_client.application.url_map.iter_rules())
    assert len(found) > 25
    for rule in found:
        methods = {method.lower() for method in rule.methods or ()} - {"head", "options"}
        assert methods <= set(contract["paths"][path_of(rule.rule)]), rule.rule


def test_every_parameter_that_a_route_takes_is_in_it_with_what_it_means(
    shared_client: FlaskClient, contract: dict[str, Any]
) -> None:
    app = shared_client.application
    for rule in rules(app):
        known = stated(app.view_functions[rule.endpoint])
        assert known is not None
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            operation = contract["paths"][path_of(rule.rule)][method.lower()]
            named = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "query"}
            assert {*known.query, *known.known} <= named, rule.rule
    for where, operation in operations(contract):
        assert operation["summary"], f"{where}: its view has no docstring"
        for parameter in operation["parameters"]:
            assert parameter["description"], f"{where}: {parameter['name']} is not in parameters.NAMES"


def test_no_name_is_described_that_no_route_takes(shared_client: FlaskClient) -> None:
    app = shared_client.application
    taken = {name for rule in rules(app) if (it := stated(app.view_functions[rule.endpoint])) for name in _all(it)}
    assert set(NAMES) == taken


def _all(it: Any) -> set[str]:
    return {*it.query, *it.body, *it.known}


def test_the_ids_of_operations_are_unique_and_fit_for_names_in_code(contract: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, operation in operations(contract)]
    assert len(set(ids)) == len(ids)
    assert all(name.isidentifier() for name in ids)


def test_every_error_that_a_client_can_cause_is_told_somewhere(contract: dict[str, Any]) -> None:
    examples = [
        name
        for _, operation in operations(contract)
        for response in operation["responses"].values()
        for name in response.get("content", {}).get("application/problem+json", {}).get("examples", ())
    ]
    common = contract["components"]["responses"]["Any400"]["content"]["application/problem+json"]["examples"]
    assert {told(error).kind for error in raised(JobError)} <= {*examples, *common}


def raised(error: type[JobError]) -> list[type[JobError]]:
    """The errors of a sort, without the sorts themselves."""
    sorts = error.__subclasses__()
    return [each for sort in sorts for each in raised(sort)] if sorts else [error]


class Shade(BaseModel):
    """Of a colour."""

    lightness: float = Field(ge=0, le=1)


class Problem(KindParams):
    """Parameters that are called like a schema of ours."""

    shade: Shade | None = None
    count: int | None = Field(None, ge=3, description="how many")
    state: str = "solid"


class Paints(Gated):
    name = "paints"
    Params = Problem


def test_parameters_of_peoples_own_kinds_are_in_it_and_do_not_get_in_the_way_of_ours(
    make_app: Callable[..., Flask],
) -> None:
    contract = make_app([Paints()]).test_client().get("/openapi.json").get_json()
    validate(contract)
    schemas = contract["components"]["schemas"]
    body = contract["paths"]["/kinds/paints/jobs"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/paintsOptions"}
    options = schemas["paintsOptions"]["properties"]
    assert set(options) == {"shade", "count", "state", "callback_url", "priority"}
    assert options["count"]["anyOf"][0] == {"minimum": 3, "type": "integer"}
    assert schemas["kinds.Shade"]["properties"]["lightness"]["maximum"] == 1
    assert "title" in schemas["Problem"]["properties"]


def test_a_default_that_a_client_would_send_twice_is_told_in_words(contract: dict[str, Any]) -> None:
    upload = contract["paths"]["/uploadCSV"]["post"]
    (quotes,) = [parameter for parameter in upload["parameters"] if parameter["name"] == "quotes"]
    assert "default" not in quotes["schema"]
    assert quotes["description"].endswith("; by default strict")
    form = contract["components"]["schemas"]["baselineCSVOptions"]
    assert form["properties"]["quotes"]["default"] == "strict"
    assert form["required"] == ["file"]


def test_a_route_that_does_not_say_what_it_answers_is_found(make_app: Callable[..., Flask]) -> None:
    app = make_app()

    @takes()
    def view() -> str:
        return ""

    app.add_url_rule("/unstated", view_func=view)
    with pytest.raises(UnstatedRoute, match="/unstated does not state what it answers"):
        document(app, app.extensions["jobsvc"].kinds)


def test_a_route_that_names_a_shape_that_there_is_not_is_refused(make_app: Callable[..., Flask]) -> None:
    app = make_app()

    @public
    @answers("Jbo")
    def view() -> str:
        return ""

    app.add_url_rule("/misnamed", view_func=view)
    with pytest.raises(UnknownShape, match=r"'Jbo': the shapes are in jobsvc\.web\.openapi\.shapes, "):
        document(app, app.extensions["jobsvc"].kinds)


def test_no_two_shapes_have_one_name() -> None:
    names = [
        name
        for home in known_shapes._HOMES
        for name, found in vars(home).items()
        if isinstance(found, type) and issubclass(found, BaseModel) and found.__module__ == home.__name__
    ]
    assert len(names) > 40
    assert [name for name, times in Counter(names).items() if times > 1] == []
