"""How requests that create a job look: the parameters of each kind, people's own included, from its JSON schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import models_json_schema

from jobsvc.kinds.contract import Kind
from jobsvc.web.creation import CALLBACK_URL, PRIORITY
from jobsvc.web.openapi import parameters
from jobsvc.web.openapi.parameters import Schema, without_default, without_null
from jobsvc.web.openapi.references import OF_KINDS, SCHEMAS, reference
from jobsvc.web.uploads.receive import FILE_FIELD, FORM

FILE_TYPE = "application/octet-stream"
"""Of a body that is the file itself. The service takes any other that is not a form's, too."""

BESIDE_PARAMS = {CALLBACK_URL: parameters.CALLBACK_URL, PRIORITY: parameters.PRIORITY}
"""The options of every job, whatever its kind."""

URL_ENCODED = "application/x-www-form-urlencoded"


class Creating:
    """The bodies and the options of requests for jobs of `kinds`; `schemas` are those that they refer to."""

    def __init__(self, kinds: Mapping[str, Kind]) -> None:
        self._kinds = kinds
        models = list(dict.fromkeys(kind.Params for kind in kinds.values()))
        template = SCHEMAS.format(model=OF_KINDS)
        found, defined = models_json_schema([(model, "validation") for model in models], ref_template=template)
        named = {template.format(model=name): schema for name, schema in defined.get("$defs", {}).items()}
        self._params = {name: named[found[kind.Params, "validation"]["$ref"]] for name, kind in kinds.items()}
        options = {
            _options(name): self._form(name) if kind.takes_file else self._object(name) for name, kind in kinds.items()
        }
        self.schemas = options | _needed(named, json.dumps(options))

    def body(self, kind: str, *, form: bool = True) -> dict[str, Any]:
        """The request body of a job of that kind; `form`: if it has no file, a form of fields will do."""
        options = reference(_options(kind))
        if not self._kinds[kind].takes_file:
            types = ("application/json", URL_ENCODED) if form else ("application/json",)
            return {"required": True, "content": {each: {"schema": options} for each in types}}
        content: dict[str, Any] = {FORM: {"schema": options}}
        content[FILE_TYPE] = {"schema": parameters.FILE}
        return {"required": True, "content": content}

    def any_body(self) -> dict[str, Any]:
        """The request body of a job of a kind that the path names."""
        with_file = [reference(_options(name)) for name, kind in self._kinds.items() if kind.takes_file]
        without = [reference(_options(name)) for name, kind in self._kinds.items() if not kind.takes_file]
        content: dict[str, Any] = {FILE_TYPE: {"schema": parameters.FILE}}
        content |= {FORM: {"schema": {"anyOf": with_file}}} if with_file else {}
        content |= {"application/json": {"schema": {"anyOf": without}}} if without else {}
        return {"required": True, "content": content}

    def query(self, kind: str) -> list[dict[str, Any]]:
        """The options of an upload in the query: none is required, since a form may have it."""
        if not self._kinds[kind].takes_file:
            return []
        options = self._params[kind].get("properties", {}) | BESIDE_PARAMS
        return [in_query(name, without_default(without_null(schema))) for name, schema in options.items()]

    def any_query(self) -> list[dict[str, Any]]:
        """The options of uploads for jobs of any kind, in the query."""
        return [in_query(name, without_default(schema)) for name, schema in self._any_options().items()]

    def beginning(self, more: Mapping[str, Schema]) -> dict[str, Any]:
        """The body with the beginning of a file, for a job of any kind; `more` are fields of a form beside it."""
        options = {name: without_default(schema) for name, schema in self._any_options().items()}
        properties = {FILE_FIELD: parameters.FILE, **more, **options}
        form = {"type": "object", "properties": properties, "required": [FILE_FIELD], "additionalProperties": False}
        return {"required": True, "content": {FORM: {"schema": form}, FILE_TYPE: {"schema": parameters.FILE}}}

    def _any_options(self) -> dict[str, Schema]:
        """By name; where kinds mean different things by one, that of the first is told."""
        found: dict[str, Schema] = {}
        for name, kind in self._kinds.items():
            if kind.takes_file:
                options = self._params[name].get("properties", {}).items()
                found = {option: without_null(schema) for option, schema in options} | found
        return found | BESIDE_PARAMS

    def _form(self, kind: str) -> Schema:
        made = self._object(kind)
        properties = {name: without_null(schema) for name, schema in made["properties"].items()}
        made["properties"] = {FILE_FIELD: parameters.FILE, **properties}
        made["required"] = [FILE_FIELD, *made.get("required", ())]
        return made

    def _object(self, kind: str) -> Schema:
        made = {name: value for name, value in self._params[kind].items() if name not in ("title", "description")}
        return made | {"properties": {**made.get("properties", {}), **BESIDE_PARAMS}}


def in_query(name: str, schema: Schema) -> dict[str, Any]:
    described = {key: value for key, value in schema.items() if key != "description"}
    return {"name": name, "in": "query", "description": schema.get("description", ""), "schema": described}


def _needed(named: Mapping[str, Schema], text: str) -> dict[str, Schema]:
    """Those of the schemas to which `text` refers, and those to which these refer."""
    found: dict[str, Schema] = {}
    while more := {ref: schema for ref, schema in named.items() if ref not in found and f'"{ref}"' in text}:
        found |= more
        text = json.dumps(list(more.values()))
    return {ref.rpartition("/")[2]: schema for ref, schema in found.items()}


def _options(kind: str) -> str:
    return f"{kind}Options"
