"""What the cases of one test share: making it takes longer than most cases."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any, TypeVar

Thing = TypeVar("Thing")


class Kept:
    """Things that were made for a test, for as long as its cases come one after the other."""

    def __init__(self) -> None:
        self._test = ""
        self._things: list[tuple[object, Any]] = []
        """What each was made from, and the thing."""
        self._ends = ExitStack()

    def once(self, test: str, source: object, make: Callable[[], AbstractContextManager[Thing]]) -> Thing:
        """What was made from a source that equals this one, for this test; of another test everything is ended."""
        if test != self._test:
            self.end()
            self._test = test
        for known, thing in self._things:
            if known == source:
                found: Thing = thing
                return found
        made = self._ends.enter_context(make())
        self._things.append((source, made))
        return made

    def end(self) -> None:
        self._things.clear()
        self._ends.close()
