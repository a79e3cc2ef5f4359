"""What is the same in every application of the tests, made once for all.

Thousands of tests make an application each, and half of what that takes would be such things.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib.metadata import EntryPoints, entry_points
from types import CodeType
from typing import Any

import pytest
from flask import Flask
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from sqlalchemy import Engine
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.util import LRUCache
from werkzeug.routing import Rule

from jobsvc.kinds import registry

_RULES: dict[str, dict[str, Any]] = {}
"""What Werkzeug makes of a rule, by its text. Written by any thread, the same."""

COMPILED = ("_parts", "_trace", "_converters", "arguments", "_build", "_build_unknown")
"""The attributes of a rule that compiling it sets."""


def make_once(patch: pytest.MonkeyPatch) -> None:
    _compile_rules_once(patch)
    _compile_statements_once(patch)
    patch.setattr(Flask, "jinja_options", {"bytecode_cache": _Templates()})
    # A test that adds a package adds a place where it is found.
    patch.setattr(registry, "entry_points", lambda group: _entry_points(group, tuple(sys.path)))


def _compile_rules_once(patch: pytest.MonkeyPatch) -> None:
    compiled = Rule.compile

    def once(self: Rule) -> None:
        if self.defaults or self.subdomain or self.host:
            compiled(self)
            return
        made = _RULES.get(self.rule)
        if made is None:
            compiled(self)
            # What builds addresses is bound to the first rule with this text: it asks it for its converters alone.
            made = _RULES[self.rule] = {name: self.__dict__[name] for name in COMPILED}
        self.__dict__.update(made)

    patch.setattr(Rule, "compile", once)


def _compile_statements_once(patch: pytest.MonkeyPatch) -> None:
    """All engines share the statements that SQLAlchemy has compiled, which it keeps by their dialect."""
    compiled = LRUCache[Any, Any](5000)
    shared = property(lambda self: compiled, lambda self, _own: None)
    patch.setattr(Engine, "_compiled_cache", shared, raising=False)
    for dialect in (SQLiteDialect_pysqlite, PGDialect_psycopg):
        patch.setattr(dialect, "__eq__", lambda self, other: type(self) is type(other))
        patch.setattr(dialect, "__hash__", lambda self: hash(type(self)))


class _Templates(BytecodeCache):
    """The code of templates, by what names each and by its text. Written by any thread, the same."""

    def __init__(self) -> None:
        self._codes: dict[tuple[str, str], CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._codes.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        assert bucket.code is not None
        self._codes[bucket.key, bucket.checksum] = bucket.code


@cache
def _entry_points(group: str, _places: tuple[str, ...]) -> EntryPoints:
    return entry_points(group=group)
