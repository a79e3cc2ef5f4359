"""What the source of a job gives: items in batches, where the job stands after each item, and the refused ones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

Cursor: TypeAlias = Mapping[str, Any]
"""Where the next item starts: a small JSON object, enough to go on from there in O(1)."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An item that was refused, and why: `errors.Refused` lists where the reasons are made.

    `item` counts the job's items from 1. For an item that is a row of a file,
    `line` is the line it starts on (the header is line 1) and `offset` and
    `length`, in bytes, say where it stands.
    """

    item: int
    error: str
    line: int | None = None
    offset: int | None = None
    length: int | None = None


@dataclass(frozen=True, slots=True)
class End:
    """Where a job stands after some items of a batch.

    `position` is how far it is, in the unit of `Work.size` (bytes, dates);
    `refused` are the rows up to there that the source itself refused.
    """

    cursor: Cursor
    position: int
    refused: Sequence[Refusal] = ()
    blank: int = 0
    """Lines up to there, from the batch's first on, that are no items since nothing is in them."""


class Batch(ABC):
    """Some consecutive items; what has been done of them is committed together."""

    items: Iterable[Any]
    is_kept: bool = False
    """Whether `items` can be sliced, and stay as they are: then nobody makes a list of them."""

    @abstractmethod
    def end(self, taken: int) -> End:
        """Where the job stands when the first `taken` of `items` are done."""

    def taken_before(self, item: int) -> int:
        """How many of `items` come before the job's `item`-th, which the source refused."""
        raise LookupError(item)

    def end_after(self, item: int) -> End:
        """Where the job stands right after its `item`-th item, which the source refused."""
        raise LookupError(item)

    @abstractmethod
    def refusal(self, item: int, error: str) -> Refusal:
        """The refusal of the job's `item`-th item, for the reason `error`; with its place in the file if it has one."""


class Rest(Batch):
    """The items of `whole` from the index `start` on, where those before it are committed."""

    def __init__(self, whole: Batch, items: Iterable[Any], start: int) -> None:
        self._whole, self.items, self._start = whole, items, start

    def end(self, taken: int) -> End:
        return self._since_start(self._whole.end(self._start + taken))

    def end_after(self, item: int) -> End:
        return self._since_start(self._whole.end_after(item))

    def _since_start(self, end: End) -> End:
        """Without the refused rows and blank lines before this batch: the batches there report them."""
        if not self._start:
            return end
        before = self._whole.end(self._start)
        return replace(end, refused=end.refused[len(before.refused) :], blank=end.blank - before.blank)

    def taken_before(self, item: int) -> int:
        return self._whole.taken_before(item) - self._start

    def refusal(self, item: int, error: str) -> Refusal:
        return self._whole.refusal(item, error)
