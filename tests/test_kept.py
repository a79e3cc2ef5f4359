"""What the cases of a test share is made once for them, and ended with the test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from flask import Flask

from tests.support.kept import Kept

seen: list[Flask] = []


def test_equal_sources_share_one_thing_until_another_test_begins() -> None:
    kept, under_way = Kept(), list[str]()

    @contextmanager
    def thing(name: str) -> Iterator[str]:
        under_way.append(name)
        yield name
        under_way.remove(name)

    for _ in range(2):
        assert kept.once("one", ["a"], lambda: thing("a")) == "a"
    assert kept.once("one", ["b"], lambda: thing("b")) == "b"
    assert under_way == ["a", "b"]
    assert kept.once("another", ["a"], lambda: thing("c")) == "c"
    assert under_way == ["c"]
    kept.end()
    assert under_way == []


@pytest.mark.in_one_app
@pytest.mark.parametrize("case", range(2))
def test_cases_ask_one_application(app: Flask, case: int) -> None:
    seen.append(app)
    assert app.test_client().get("/readyz").status_code == 200
    # Another process may have been given the other case.
    assert all(other is app for other in seen)
