"""Rows that are held column by column: as many values as there are, and no tuple for each row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Any, NamedTuple, TypeAlias, overload


class Same(NamedTuple):
    """A column that has this value in every row."""

    value: Any


Column: TypeAlias = Same | range | list[Any]
"""The values of a column. A range goes up by one."""


Shape: TypeAlias = tuple[type[Column], ...]
"""Of which sort each column is."""


class Columns(Sequence[tuple[Any, ...]]):
    """Rows, in the order of their columns. At least one column is a list; each list and range is as long as there are
    rows."""

    __slots__ = ("_length", "columns")

    def __init__(self, *columns: Column) -> None:
        self.columns = columns
        self._length = min(len(column) for column in columns if isinstance(column, list))

    @property
    def shape(self) -> Shape:
        return tuple(map(type, self.columns))

    @property
    def values(self) -> list[Any]:
        """What a statement for all of them needs: of each column that is no list its one or first value, and then the
        values of the lists, row after row."""
        lists = [column for column in self.columns if isinstance(column, list)]
        once = [
            column.value if isinstance(column, Same) else column.start
            for column in self.columns
            if not isinstance(column, list)
        ]
        values = once + [None] * (len(lists) * self._length)
        for at, column in enumerate(lists, len(once)):
            values[at :: len(lists)] = column
        return values

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return zip(*(repeat(one.value) if isinstance(one, Same) else one for one in self.columns), strict=False)

    @overload
    def __getitem__(self, at: int) -> tuple[Any, ...]: ...

    @overload
    def __getitem__(self, at: slice) -> Columns: ...

    def __getitem__(self, at: int | slice) -> tuple[Any, ...] | Columns:
        if isinstance(at, slice):
            return Columns(*(one if isinstance(one, Same) else one[at] for one in self.columns))
        return tuple(one.value if isinstance(one, Same) else one[at] for one in self.columns)

    def __add__(self, more: Columns) -> Columns:
        """These rows and those that follow: a range goes on, and what is the same in every row is in those, too."""
        return Columns(*map(_joined, self.columns, more.columns))


def _joined(first: Column, then: Column) -> Column:
    if isinstance(first, range) and isinstance(then, range) and first.stop == then.start:
        return range(first.start, then.stop)
    if isinstance(first, list) and isinstance(then, list):
        return first + then
    if isinstance(first, Same) and first == then:
        return first
    raise ValueError("these rows do not go on as those before them")
