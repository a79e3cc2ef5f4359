"""What it costs the author of a kind to import `jobsvc.kinds`: next to nothing, until a name of it is used."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import jobsvc.kinds

HEAVY = {
    "flask",
    "werkzeug",
    "gunicorn",
    "alembic",
    "sqlalchemy",
    "orjson",
    "tenacity",
    "asyncio",
    "concurrent.futures",
    "prometheus_client",
}

MODEL = "from pydantic import BaseModel, Field\nclass Model(BaseModel):\n    n: int = Field(1)"
"""What declaring parameters costs at least."""


def loaded(code: str) -> set[str]:
    """The modules that a new interpreter has loaded after `code`."""
    program = f"import sys\n{code}\nimport json\nprint(json.dumps([*sys.modules]))"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return set(json.loads(done.stdout))


def test_the_package_alone_loads_next_to_nothing() -> None:
    found = loaded("import jobsvc.kinds")
    assert len(found) <= 100
    assert not found & (HEAVY | {"pydantic"})


def test_a_kind_that_does_rows_loads_its_contract_and_pydantic_and_nothing_else() -> None:
    found = loaded("from jobsvc.kinds import Item, Refused, Retry, RowKind, Source")
    assert len(found) <= 260
    assert len(found - loaded(MODEL)) <= 20
    assert not found & HEAVY


@pytest.mark.parametrize("names", ["Batch, End, Refusal, Work", "BadParameter, ItemAbandoned, JobFailed, Refused"])
def test_what_has_no_parameters_loads_no_pydantic(names: str) -> None:
    assert not loaded(f"from jobsvc.kinds import {names}") & (HEAVY | {"pydantic"})


def test_every_name_is_that_of_the_file_that_readers_and_type_checkers_are_sent_to() -> None:
    tree = ast.parse(Path(jobsvc.kinds.__file__).read_text())
    told = {
        alias.name: node.module
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert {name: f"jobsvc.kinds.{home}" for name, home in jobsvc.kinds._HOMES.items()} == told
    assert sorted(told) == jobsvc.kinds.__all__
    for name, module in told.items():
        found = getattr(jobsvc.kinds, name)
        assert found is getattr(import_module(module), name)
        # Where it is made, and not where others have it from.
        assert not isinstance(found, type) or found.__module__ == module
    assert set(jobsvc.kinds.__all__) <= set(dir(jobsvc.kinds))


def test_a_name_that_is_not_there_is_missed_as_in_any_module() -> None:
    with pytest.raises(AttributeError, match=r"module 'jobsvc\.kinds' has no attribute 'Rowkind'"):
        jobsvc.kinds.Rowkind  # noqa: B018
    with pytest.raises(ImportError):
        exec("from jobsvc.kinds import Rowkind")
