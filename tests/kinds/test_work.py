"""Taking items: one after the other, whatever the batch has them in."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pytest

from jobsvc.kinds.batch import Batch, End, Refusal
from jobsvc.kinds.work import Work
from jobsvc.store.inserts.columns import Columns, Same


class Some(Batch):
    def __init__(self, items: Iterable[Any], *, is_kept: bool = False) -> None:
        self.items, self.is_kept = items, is_kept

    def end(self, taken: int) -> End:
        return End({}, taken)

    def refusal(self, item: int, error: str) -> Refusal:
        return Refusal(item, error)


class Plain(Work):
    def batches(self) -> Iterator[Batch]:
        return iter(())


def after(looks: int) -> Any:
    """Says no so many times, and then yes."""
    answers = iter([False] * looks)
    return lambda: next(answers, True)


@pytest.mark.parametrize("sort", [list, tuple, deque, iter], ids=lambda sort: sort.__name__)
@pytest.mark.parametrize(("looks", "wanted"), [(0, []), (2, [1, 2]), (4, [1, 2, 3, 4]), (9, [1, 2, 3, 4])])
def test_it_looks_before_each_item_whether_to_stop(sort: Any, looks: int, wanted: list[int]) -> None:
    taken = Plain().take(Some(sort([1, 2, 3, 4])), after(looks))
    assert (list(taken.items), taken.stopped) == (wanted, looks < 4)
    assert isinstance(taken.items[:1], Sequence)


@pytest.mark.parametrize(("looks", "wanted"), [(0, 0), (2, 2), (4, 4), (9, 4)])
def test_of_rows_in_columns_too(looks: int, wanted: int) -> None:
    rows = Columns(Same(7), range(1, 5), ["a", "b", "c", "d"])
    taken = Plain().take(Some(rows, is_kept=True), after(looks))
    assert (list(taken.items), taken.stopped) == (list(rows)[:wanted], looks < 4)


def test_a_list_that_its_kind_fills_again_is_not_what_was_taken() -> None:
    refilled = [1, 2]
    taken = Plain().take(Some(refilled), after(9))
    refilled[:] = [3, 4]
    assert taken.items == [1, 2]
