"""Lines that become fields, or JSON, by replacing text alone: they need no CSV parser.

There are three sorts. Plain lines have no quotes: every delimiter separates fields. Lines
with quotes around every field have `","` between fields, and nowhere else. In lines with
quotes around some fields, what is special inside quotes is first replaced by characters
that stand for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from operator import itemgetter
from typing import NamedTuple

import orjson

_MARKS = ("\x01", "\x02", "\x03")
"""Control characters: a line that has any but the delimiter is not simple, so that these can stand for something."""

_FIRST, _LAST = itemgetter(0), itemgetter(-1)


class _StandIn(NamedTuple):
    mark: str
    meant: str

    @property
    def in_json(self) -> str:
        return orjson.dumps(self.meant).decode()[1:-1]


@dataclass(frozen=True, slots=True)
class SimpleLines:
    """Some lines, each of them a row of `width` fields with `between` between them."""

    texts: list[str]
    width: int
    between: str
    stand_ins: Sequence[_StandIn] = ()
    """Characters in fields that are not what is meant, or not how JSON has it."""

    def column(self, index: int) -> list[str]:
        """One field of every line."""
        # In C: a comprehension takes twice as long.
        if index == self.width - 1:
            parts = map(str.rpartition, self.texts, repeat(self.between))
            found = list(map(_LAST, parts))
        else:
            some = map(str.split, self.texts, repeat(self.between), repeat(index + 1))
            found = list(map(itemgetter(index), some))
        if not self.stand_ins:
            return found
        joined = "\n".join(found)
        for one in self.stand_ins:
            joined = joined.replace(one.mark, one.meant)
        return joined.split("\n")

    def as_json(self) -> list[str]:
        """Every line as a JSON array of its fields."""
        if self.between == '","':
            joined = '"]\n["'.join(self.texts)
        else:
            joined = "\n".join(self.texts).replace(self.between, '","').replace("\n", '"]\n["')
        for one in self.stand_ins:
            joined = joined.replace(one.mark, one.in_json)
        return f'["{joined}"]'.split("\n")


def plain_lines(text: str, width: int, delimiter: str) -> SimpleLines | None:
    """The lines of `text`, which has no quotes; None if one has another width, or is blank."""
    return _of_one_width(split_lines(text), width, delimiter)


def quoted_lines(text: str, width: int, delimiter: str) -> SimpleLines | None:
    """The lines of `text`, if each has quotes around every field and nowhere else."""
    joined, between = _with_one_line_end(text), f'"{delimiter}"'
    if not joined[0] == joined[-1] == '"':
        return None
    texts = joined[1:-1].split('"\n"')
    # All quotes are accounted for: two between each field and the next, and those at both ends, which are no others.
    if (
        joined.count("\n") != len(texts) - 1
        or _counts(texts, between) != {width - 1}
        or joined.count('"') != 2 * width * len(texts)
    ):
        return None
    inside = _StandIn(delimiter, delimiter)
    return SimpleLines(texts, width, between, () if inside.in_json == delimiter else [inside])


def partly_quoted_lines(text: str, width: int, delimiter: str) -> SimpleLines | None:
    """The lines of `text` in which some fields have quotes, all of them well-formed and without line ends."""
    pieces = _with_one_line_end(text).split('"')
    # Pieces outside of quotes and inside take turns. One of nothing between two quotes is a quote that was doubled.
    outside, inside = pieces[0::2], '"'.join(pieces[1::2])
    if len(pieces) % 2 == 0 or "\n" in inside:
        return None
    for_delimiter, for_quote = [mark for mark in _MARKS if mark != delimiter][:2]
    if "" in outside[1:-1]:
        pieces[2:-1:2] = [piece or for_quote for piece in outside[1:-1]]
        outside[1:-1] = filter(None, outside[1:-1])
    # A field with quotes begins and ends where a field does.
    first, last = map(_FIRST, filter(None, outside[1:])), map(_LAST, filter(None, outside[:-1]))
    if not {delimiter, "\n"}.issuperset(chain(first, last)):
        return None
    pieces[1::2] = inside.replace(delimiter, for_delimiter).split('"')
    stand_ins = _StandIn(for_delimiter, delimiter), _StandIn(for_quote, '"')
    return _of_one_width("".join(pieces).split("\n"), width, delimiter, stand_ins)


def split_lines(text: str) -> list[str]:
    """Lines of text in which no line end is quoted, without their ends."""
    return _with_one_line_end(text).split("\n")


def _of_one_width(
    texts: list[str], width: int, delimiter: str, stand_ins: Sequence[_StandIn] = ()
) -> SimpleLines | None:
    if _counts(texts, delimiter) != {width - 1} or "" in texts or delimiter * (width - 1) in texts:
        return None
    return SimpleLines(texts, width, delimiter, stand_ins)


def _counts(texts: list[str], part: str) -> set[int]:
    """How often the part is in a line, of all lines."""
    return set(map(str.count, texts, repeat(part)))


def _with_one_line_end(text: str) -> str:
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.removesuffix("\n")
