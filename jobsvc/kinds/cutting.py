"""Batches cut into smaller ones, for checkpoints in between."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from jobsvc.kinds.batch import Batch, Rest


def cut_smaller(batches: Iterable[Batch], begin: Callable[[], Callable[[int], bool]]) -> Iterator[Batch]:
    """The items of `batches`, in smaller batches.

    `begin` is called at the start of each smaller batch and returns a function. That
    function is called after each item, with how many items the smaller batch has so
    far; when it returns True, the batch ends there.
    """
    for whole in batches:
        items = iter(whole.items)
        start = 0
        while True:
            batch = _CutBatch(whole, items, start, begin())
            yield batch
            start += batch.drawn
            if not batch.cut:
                break


class _CutBatch(Rest):
    """Some items of `whole`, from the index `start` on, until `enough` says so."""

    def __init__(self, whole: Batch, items: Iterator[Any], start: int, enough: Callable[[int], bool]) -> None:
        super().__init__(whole, self._draw(), start)
        self._source, self._enough = items, enough
        self.drawn = 0
        self.cut = False
        """Whether `enough` ended it; if so, `whole` may have more items."""

    def _draw(self) -> Iterator[Any]:
        for item in self._source:
            self.drawn += 1
            yield item
            if self._enough(self.drawn):
                self.cut = True
                return
