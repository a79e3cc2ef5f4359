"""How an output is put together from parts that no two runs share.

A run can be given up for dead, its job taken by a newer attempt elsewhere, and then
wake up with its file still open. So runs never write into the same file: each
stretch of an output, from where a run opened it, goes into parts that are named by
the offset at which they start and by the attempt that wrote them. The job's cursor
lists the stretches; of one, only what its own attempt wrote between its start and
the next stretch's start counts. Anything else was left by a crash or by such a late
run, and is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

UNNAMED_ATTEMPT = 0
"""Stands in marks that were made before attempts were part of names; real attempts count from 1."""

_PART = re.compile(r"(\d+)-(\d+)\.part")
_MADE = re.compile(rf"{_PART.pattern}|result\.\d+|\d+\.joining")

GONE = "the unfinished export file is gone"
SHORTER = "the unfinished export file is shorter than it was"


class Stretch(NamedTuple):
    """What was written from the offset `start` on by the run `attempt`."""

    start: int
    attempt: int

    @property
    def part(self) -> str:
        return f"{self.start}-{self.attempt}.part"


class Piece(NamedTuple):
    """The first `length` bytes of a part."""

    part: Stretch
    length: int


def result_name(attempt: int) -> str:
    """A late run may finish, too; so each attempt's result has its own name, and the job's row says which counts."""
    return f"result.{attempt}"


def joining_name(attempt: int) -> str:
    return f"{attempt}.joining"


def is_made(name: str) -> bool:
    """Whether a run gives such a name to what it makes; what is called otherwise is somebody else's."""
    return _MADE.fullmatch(name) is not None


def part_of(name: str) -> Stretch | None:
    """The part that a file of that name is, if it is one."""
    found = _PART.fullmatch(name)
    return Stretch(int(found[1]), int(found[2])) if found else None


def continued(mark: Mapping[str, Any] | None, attempt: int) -> list[Stretch]:
    """The stretches of an output that `attempt` goes on with at `mark`; the last is the one that it writes."""
    if mark is None:
        return [Stretch(0, attempt)]
    offset: int = mark["offset"]
    before = [Stretch(*pair) for pair in mark.get("stretches", [(0, UNNAMED_ATTEMPT)])]
    return [*(stretch for stretch in before if stretch.start < offset), Stretch(offset, attempt)]


def marked(stretches: Sequence[Stretch], offset: int) -> dict[str, Any]:
    """What a job's cursor keeps of an output that counts up to `offset`."""
    return {"offset": offset, "stretches": [list(stretch) for stretch in stretches]}


def spans(stretches: Sequence[Stretch], end: int) -> list[Piece]:
    """How much of each stretch counts, in an output of `end` bytes."""
    ends = [*(stretch.start for stretch in stretches[1:]), end]
    return [Piece(stretch, stop - stretch.start) for stretch, stop in zip(stretches, ends, strict=True)]
