"""Finding the kinds there are: built in, named in a setting, or announced by an installed package."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import entry_points
from inspect import isabstract
from pkgutil import resolve_name
from typing import Any

from pydantic import PydanticUserError

# Not at a job's first item: then no file and no memory may be left to load it.
import jobsvc.kinds.item_work  # noqa: F401
from jobsvc.kinds.builtin.baseline_csv import BaselineCSV
from jobsvc.kinds.builtin.bulk_team import BulkTeam
from jobsvc.kinds.builtin.create_export import CreateExport
from jobsvc.kinds.contract import Kind, KindParams
from jobsvc.kinds.csv.params import CsvParams
from jobsvc.kinds.row_kind import RowKind

ENTRY_POINTS = "jobsvc.kinds"

BUILT_IN: tuple[type[Kind], ...] = (BaselineCSV, BulkTeam, CreateExport)


TAKEN = frozenset({"callback_url", "priority"})
"""Options of every job, whatever its kind: no parameter can have their names."""


class KindError(Exception):
    """A kind can't be used; the text says which, where it was named, and why."""


def load_kinds(named: Iterable[str], extra: Iterable[Kind] = ()) -> Mapping[str, Kind]:
    """All kinds, by name: the built-in ones, those of entry points, those `named` as `package.module:Class`, `extra`.

    Raises KindError.
    """
    found: list[tuple[str, Kind]] = [("jobsvc", kind()) for kind in BUILT_IN]
    for point in entry_points(group=ENTRY_POINTS):
        found.append((f"entry point {point.name}", _instance(f"entry point {point.name}", point.value)))
    found += [(f"JOBSVC_KINDS {name}", _instance("JOBSVC_KINDS", name)) for name in named]
    found += [("create_app", kind) for kind in extra]
    kinds: dict[str, Kind] = {}
    for where, kind in found:
        problem = _problem(kind)
        if problem:
            raise KindError(f"{where}: {type(kind).__module__}:{type(kind).__qualname__} can't be used: {problem}")
        if kind.name in kinds and type(kinds[kind.name]) is not type(kind):
            raise KindError(f"{where}: there is a kind called {kind.name!r} already: {type(kinds[kind.name])}")
        kinds[kind.name] = kind
    return kinds


def taking_files(kinds: Mapping[str, Kind]) -> frozenset[str]:
    """The names of the kinds whose jobs have an upload each."""
    return frozenset(name for name, kind in kinds.items() if kind.takes_file)


def _instance(where: str, path: str) -> Kind:
    try:
        kind: Any = resolve_name(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise KindError(f"{where}: {path!r} can't be imported, it must be package.module:Class: {error}") from error
    if not (isinstance(kind, type) and issubclass(kind, Kind)) or isabstract(kind):
        raise KindError(f"{where}: {path!r} is not a class of kind that has all it needs; see jobsvc.kinds.Kind")
    try:
        return kind()
    except TypeError as error:
        raise KindError(f"{where}: {path!r} must be a class that needs no arguments: {error}") from error


def _problem(kind: Kind) -> str | None:
    """What makes a kind unusable, as far as that can be seen before it runs."""
    name = getattr(kind, "name", None)
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        return f"its `name` must be letters, digits and underscores, not {name!r}"
    if not (isinstance(kind.Params, type) and issubclass(kind.Params, KindParams)):
        return "its `Params` must be a subclass of KindParams"
    if no_schema := _no_schema(kind.Params):
        return f"its `Params` have no JSON schema, from which clients learn them: {no_schema}"
    taken = TAKEN & {field.alias or name for name, field in kind.Params.model_fields.items()}
    if taken:
        return f"every job has {', '.join(sorted(taken))}: its `Params` can have none of that name"
    return _row_problem(kind) if isinstance(kind, RowKind) else None


@cache
def _no_schema(params: type[KindParams]) -> str | None:
    """Why there is none; to find out takes as long as all else that is looked at."""
    try:
        params.model_json_schema(by_alias=True)
    except PydanticUserError as error:
        return error.message
    return None


def _row_problem(kind: RowKind) -> str | None:
    if kind.takes_file and not issubclass(kind.Params, CsvParams):
        return "it takes a file, so its `Params` must be a subclass of CsvParams"
    if not kind.takes_file and type(kind).source is RowKind.source:
        return "it takes no file, so it must override `source`"
    if kind.concurrency < 1 or (kind.rate is not None and kind.rate <= 0):
        return "its `concurrency` must be at least 1, and its `rate` above 0"
    return None
