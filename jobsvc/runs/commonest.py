"""What the reasons of refused rows come to: which are alike, how many of each, and what ends a job because of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple, Self

from sqlalchemy import RowMapping

from jobsvc.kinds.contract import Reason

MOST_SORTS = 100
"""So many sorts of reason are told apart of one job; what else there is counts as `OTHER`."""

SORT_CHARACTERS = 200
"""How much is kept of what a sort has in common, and of the name of a column."""

LOOKED_AT = 500
"""How many characters of a text tell which ones are alike, where they do not say it."""

SAMPLES = 5
"""How many refused rows of each sort are shown."""

_OWN = re.compile(
    r"""(?<!\w)(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")(?!\w)|(?<!\w)-?(?:0x[0-9a-fA-F]+|\d+(?:[.,:/-]\d+)*)|\d+"""
)
"""What differs from row to row: values in quotes, as Python writes them, and numbers. An apostrophe is no quote."""


class Sort(NamedTuple):
    """What reasons have in common that say the same of different rows."""

    reason: str
    column: str | None = None


OTHER = Sort("other reasons")


def sort_of(error: str) -> Sort:
    """The same for errors that say the same of different rows."""
    group = error.group if isinstance(error, Reason) else None
    column = error.column if isinstance(error, Reason) else None
    return _sort(_OWN.sub("…", error[:LOOKED_AT]) if group is None else group, column)


@lru_cache(maxsize=1000)
def _sort(reason: str, column: str | None) -> Sort:
    return Sort(_kept(reason), None if column is None else _kept(column))


def _kept(text: str) -> str:
    """As any database gives it back: otherwise what is stored would not be recognised."""
    kept = text[:SORT_CHARACTERS].encode("utf-8", "backslashreplace").decode()
    return kept.replace("\0", "\N{REPLACEMENT CHARACTER}")


@dataclass(frozen=True)
class Tally:
    """How many rows of a job were refused for one sort of reason."""

    place: int
    """Among the job's sorts, from 1 in the order in which they came; 0: `OTHER`."""
    sort: Sort
    count: int
    samples: Sequence[int]
    """The items that were refused first."""

    @classmethod
    def from_row(cls, row: RowMapping) -> Self:
        samples = row["samples"] if isinstance(row["samples"], list) else ()
        return cls(row["place"], Sort(row["reason"], row["column"]), row["count"], samples)

    def as_row(self) -> dict[str, Any]:
        return {"place": self.place, **self.sort._asdict(), "count": self.count, "samples": list(self.samples)}


def counted(known: Iterable[Tally], refused: Iterable[tuple[int, str]]) -> list[Tally]:
    """Those tallies that are others, or new, once these items were refused, each for its reason."""
    by_sort = {tally.sort: tally for tally in known}
    items: dict[Sort, list[int]] = {}
    for item, error in refused:
        items.setdefault(sort_of(error), []).append(item)
    changed: dict[Sort, Tally] = {}
    for sort, more in items.items():
        tally = by_sort.get(sort)
        if tally is None:
            sorts = len(by_sort) - (OTHER in by_sort)
            # A kind may say just what `OTHER` says: it counts there, and has no place of its own.
            is_told = sort != OTHER and sorts < MOST_SORTS
            tally = Tally(sorts + 1, sort, 0, ()) if is_told else by_sort.get(OTHER, Tally(0, OTHER, 0, ()))
        samples = [*tally.samples, *more][:SAMPLES]
        tally = replace(tally, count=tally.count + len(more), samples=tuple(samples))
        by_sort[tally.sort] = changed[tally.sort] = tally
    return list(changed.values())


def commonest(errors: Sequence[str]) -> str:
    """The first error of the most frequent sort."""
    alike = [sort_of(error) for error in errors]
    most = Counter(alike).most_common(1)[0][0]
    return errors[alike.index(most)]


def nothing_done(refused: int, errors: Sequence[str]) -> str:
    """Why a job has failed that refused all its rows; `errors` are the reasons of the first of them."""
    what = "the only row was refused" if refused == 1 else f"all {refused} rows were refused"
    return f"{what}, most often since {commonest(errors)}"


def too_many(refused: int, most: int | None) -> str:
    """Why a job has failed that may refuse `most` rows."""
    return f"{refused} rows were refused, more than max_failed={most}"
