"""Batches cut into smaller ones, for checkpoints in between."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from jobsvc.kinds.batch import Batch, End, Refusal


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


class _CutBatch(Batch):
    """Some items of `whole`, from the index `start` on, until `enough` says so."""

    def __init__(self, whole: Batch, items: Iterator[Any], start: int, enough: Callable[[int], bool]) -> None:
        self._whole, self._source, self._start, self._enough = whole, items, start, enough
        self.drawn = 0
        self.cut = False
        """Whether `enough` ended it; if so, `whole` may have more items."""
        self.items = self._draw()

    def _draw(self) -> Iterator[Any]:
        for item in self._source:
            self.drawn += 1
            yield item
            if self._enough(self.drawn):
                self.cut = True
                return

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
