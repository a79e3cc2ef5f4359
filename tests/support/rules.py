"""What Werkzeug compiles of each rule of the routes, which is the same in every application: made once for all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.routing import Rule

_COMPILED: dict[tuple[str, bool], Callable[..., Any]] = {}
"""By the rule and whether names that it does not have are appended. Written by any thread, the same."""


def compile_rules_once(patch: pytest.MonkeyPatch) -> None:
    """Thousands of tests make an application each, and a third of what that takes would be its rules."""
    compiled = Rule._compile_builder

    def once(self: Rule, append_unknown: bool = True) -> Callable[..., Any]:
        key = (self.rule, append_unknown)
        if self.defaults or self.subdomain or self.host:
            return compiled(self, append_unknown)
        if key not in _COMPILED:
            _COMPILED[key] = compiled(self, append_unknown)
        return _COMPILED[key]

    patch.setattr(Rule, "_compile_builder", once)
