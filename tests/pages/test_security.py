"""SECURITY.md: every row of the threat model names tests that are there."""

from __future__ import annotations

import ast
import re

from tests.support.processes import ROOT

TEXT = (ROOT / "SECURITY.md").read_text()

ROWS = [row.split("|")[1:-1] for row in re.findall(r"^\|.*\|$", TEXT, re.MULTILINE)][2:]


def functions(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_row_of_the_threat_model_names_tests_that_are_there() -> None:
    assert len(ROWS) > 20
    for row in ROWS:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row[3])
        assert named, f"no test shows: {row[2]}"
        for path, name in named:
            assert (ROOT / path).exists(), path
            assert name in functions(path), f"{path} has no {name}"


def test_every_row_says_what_somebody_could_do_and_what_stops_them() -> None:
    assert all(row[1].strip() and row[2].strip() for row in ROWS)
