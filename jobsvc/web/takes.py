"""What each route takes, and the refusal of all else: what a request says is used, or refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from flask import Flask, current_app, g, request
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import BadRequest

from jobsvc.jobs.errors import InvalidParameter

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True)
class Takes:
    """The names that a route knows. A route that states nothing knows none."""

    query: tuple[str, ...] = ()
    body: tuple[str, ...] = ()
    reads_body: bool = False
    """Whether the route reads its body, and judges it, by itself."""
    reads_query: bool = False
    """The same for its query."""
    unchecked: str = ""
    """Why nothing is checked, where nothing is."""
    known: tuple[str, ...] = ()
    """What such a route looks at in the query and in forms; for the contract."""


_STATED: dict[Callable[..., Any], Takes] = {}
"""By view function. Written while modules are imported, only read afterwards."""


def takes(
    *names: str,
    in_body: bool = False,
    only_in_body: tuple[str, ...] = (),
    reads_body: bool = False,
    reads_query: bool = False,
) -> Callable[[View], View]:
    """State what a route takes: `names` in the query, and with `in_body` in a form or a JSON object just as well.

    `only_in_body`: what is never taken from a query, which logs and histories have.
    """
    return _state(Takes(names, (*(names if in_body else ()), *only_in_body), reads_body, reads_query))


def unchecked(why: str, *known: str) -> Callable[[View], View]:
    """State that a route looks at what it knows, and lets pass what it doesn't."""
    return _state(Takes(unchecked=why, known=known))


def _state(stated: Takes) -> Callable[[View], View]:
    def state(view: View) -> View:
        _STATED[view] = stated
        return view

    return state


def stated(view: Callable[..., Any]) -> Takes | None:
    """What a route's view function has stated, if it has."""
    return _STATED.get(view)


def register(app: Flask) -> None:
    app.before_request(check)


def check() -> None:
    """Refuse what the route of the current request doesn't know. Raises InvalidParameter, BadRequest."""
    view = current_app.view_functions.get(request.endpoint or "")
    if view is None or request.method == "OPTIONS":
        return
    route = _STATED.get(view) or Takes()
    if route.unchecked:
        return
    query = _once(request.args)
    for name in query:
        if name not in route.query and not route.reads_query:
            _refuse(name, "query", route.query, "body" if route.reads_body else None)
    body = {} if route.reads_body else fields()
    for name in body:
        if name not in route.body:
            _refuse(name, "body", route.body, "query" if name in route.query else None)
        if name in query:
            raise InvalidParameter(name, "it is given twice, in the query and in the body")
    g.given = query | body


def _refuse(name: str, where: str, known: tuple[str, ...], elsewhere: str | None) -> NoReturn:
    what = f"known in its {where} are {', '.join(known)}" if known else f"it takes none in its {where}"
    hint = f"; parameters belong in the {elsewhere}" if elsewhere else ""
    raise InvalidParameter(name, f"{request.method} {request.path} has no such parameter: {what}{hint}")


def given() -> Mapping[str, Any]:
    """What the current request says: strings from the query and from forms, any JSON value from a JSON object."""
    found: Mapping[str, Any] = g.given
    return found


def fields() -> dict[str, Any]:
    """The fields in the body: a JSON object (whatever the content type says, for `curl -d`), or a form.

    Raises BadRequest for what is neither, InvalidParameter for a field that is given twice and for a file.
    """
    data = request.get_data()
    if not data:
        return {}
    if request.is_json or data.lstrip()[:1] in (b"{", b"["):
        return _json_object(data)
    found = _once(request.form)
    for name in request.files:
        raise InvalidParameter(name, "it is a file, and no file is taken here")
    if not found:
        raise BadRequest("the body must be a JSON object or a form")
    return found


def _once(given: MultiDict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, values in given.lists():
        if len(values) > 1:
            raise InvalidParameter(name, f"it is given {len(values)} times; give it once")
        found[name] = values[0]
    return found


def _json_object(data: bytes) -> dict[str, Any]:
    try:
        body = json.loads(data, object_pairs_hook=_object, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise BadRequest(f"the body is not JSON from line {error.lineno}, column {error.colno} on") from None
    except UnicodeDecodeError:
        raise BadRequest("the body is not JSON: its text is not UTF-8") from None
    except RecursionError:
        raise BadRequest("the body is nested too deeply") from None
    except ValueError:
        raise BadRequest("the body has a number of too many digits") from None
    if not isinstance(body, dict):
        raise BadRequest("the body must be a JSON object")
    return body


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise InvalidParameter(name, "it is given twice in the JSON object")
        found[name] = value
    return found


def _no_number(name: str) -> NoReturn:
    raise BadRequest(f"the body is not JSON: {name} is no number there")
