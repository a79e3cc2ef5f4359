"""The most frequent reason among a job's refused rows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

_OWN = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\d+")
"""What differs from row to row: numbers, and values in quotes."""


def commonest(errors: Sequence[str]) -> str:
    """The first error of the most frequent sort."""
    alike = [_OWN.sub("…", error) for error in errors]
    most = Counter(alike).most_common(1)[0][0]
    return errors[alike.index(most)]
