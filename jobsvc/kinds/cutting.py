"""Batches cut into smaller ones, for checkpoints in between."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from jobsvc.kinds.contract import Batch, End, Refusal


def cut_further(batches: Iterable[Batch], begin: Callable[[], Callable[[int], bool]]) -> Iterator[Batch]:
    """The items of `batches`, cut further.

    `begin` is called when a batch is begun; what it returns is asked after each of
    the batch's items, with their number so far, whether these are enough.
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


class _CutBatch(Batch):
    """The items of `whole` from its item `start` on, until there are enough."""

    def __init__(self, whole: Batch, items: Iterator[Any], start: int, enough: Callable[[int], bool]) -> None:
        self._whole, self._source, self._start, self._enough = whole, items, start, enough
        self.drawn = 0
        self.cut = False
        """Whether it ended because there were enough, so that more may follow."""
        self.items = self._draw()

    def _draw(self) -> Iterator[Any]:
        for item in self._source:
            self.drawn += 1
            yield item
            if self._enough(self.drawn):
                self.cut = True
                return

    def end(self, taken: int) -> End:
        return self._untold(self._whole.end(self._start + taken))

    def end_behind(self, item: int) -> End:
        return self._untold(self._whole.end_behind(item))

    def _untold(self, end: End) -> End:
        """Without the refused rows and blank lines up to its start: the batches before this one have told of them."""
        if not self._start:
            return end
        told = self._whole.end(self._start)
        return replace(end, refused=end.refused[len(told.refused) :], blank=end.blank - told.blank)

    def taken_before(self, item: int) -> int:
        return self._whole.taken_before(item) - self._start

    def refusal(self, item: int, error: str) -> Refusal:
        return self._whole.refusal(item, error)
