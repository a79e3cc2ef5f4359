"""How many items a rollback undoes at a time."""

from __future__ import annotations

from jobsvc.runs.rollback import BATCH_SECONDS, FIRST_ITEMS, LEAST_ITEMS, MOST_ITEMS, BatchSize


def after(*taken: tuple[int, float]) -> BatchSize:
    size = BatchSize()
    for items, seconds in taken:
        size.took(items, seconds)
    return size


def test_batches_grow_while_they_take_less_than_their_time_and_not_without_end() -> None:
    size = BatchSize()
    limits = [size.next(busy=False)]
    for _ in range(20):
        size.took(limits[-1], 1e-9)
        limits.append(size.next(busy=False))
    assert limits[:3] == [FIRST_ITEMS, 2 * FIRST_ITEMS, 4 * FIRST_ITEMS]
    assert limits[-1] <= MOST_ITEMS
    # At two million items a second.
    size = after(*[(4000 * more, 0.002 * more) for more in range(1, 20)])
    assert size.next(busy=False) == round(2_000_000 * BATCH_SECONDS)


def test_items_that_take_long_are_undone_few_at_a_time() -> None:
    size = BatchSize()
    for _ in range(20):
        limit = size.next(busy=False)
        size.took(limit, limit * 0.001)
    assert size.next(busy=False) == LEAST_ITEMS
    assert after((2000, 0.03)).next(busy=False) == 1333


def test_one_slow_batch_halves_the_next_at_most() -> None:
    assert after((2000, 5.0)).next(busy=False) == 1000
    assert after((3, 5.0)).next(busy=False) == 1000


def test_where_others_wait_for_their_turn_batches_are_small() -> None:
    fast = after((2000, 0.001), (4000, 0.002))
    assert fast.next(busy=True) == FIRST_ITEMS < fast.next(busy=False)
    assert after((2000, 5.0)).next(busy=True) == 1000


def test_a_small_last_batch_says_nothing() -> None:
    assert after((0, 0.001)).next(busy=False) == FIRST_ITEMS
    assert after((3, 0.001)).next(busy=False) == FIRST_ITEMS
