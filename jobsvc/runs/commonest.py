"""What the reasons of refused rows come to: which are alike, and what ends a job because of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

_OWN = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\d+")
"""What differs from row to row: numbers, and values in quotes."""


def sort_of(error: str) -> str:
    """The same for errors that say the same of different rows."""
    return _OWN.sub("…", error)


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
