"""What commands print: JSON for scripts, tables on a terminal, plain lines elsewhere."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click

MIN_FOLDED = 24
"""So many characters of a row's last column stand in a line at least."""

MAX_CELL = 200
"""So many characters of a text that explains something stand in a table."""


class Output:
    """Standard output has the result, standard error what happens meanwhile.

    With `to_stderr` the result goes there too: standard output is for a file.
    """

    def __init__(self, as_json: bool, *, to_stderr: bool = False) -> None:
        self.as_json = as_json
        self._err = to_stderr

    def json(self, value: Any) -> None:
        """One line."""
        click.echo(json.dumps(value, ensure_ascii=False), err=self._err)

    def line(self, text: str) -> None:
        click.echo(printable(text), err=self._err)

    def note(self, text: str) -> None:
        """For people only, beside the result."""
        if not self.as_json:
            click.echo(printable(text), err=True)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, theirs: bool = False) -> None:
        """A table; fields are separated by tabs where it is not a terminal. `theirs`: the names come from a file."""
        names = [printable(name) if theirs else name.upper() for name in columns]
        texts = [[self._cell(value) for value in row] for row in rows]
        if not sys.stdout.isatty():
            for row in (names, *texts):
                click.echo("\t".join(row))
            return
        from rich.console import Console  # noqa: PLC0415 (a tenth of a second)
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        table = Table(box=None, pad_edge=False, header_style="bold")
        for place, name in enumerate(names, 1):
            # Ids are copied, and a number that is cut is another one: only the last column may be folded.
            table.add_column(Text(name), overflow="fold", no_wrap=place < len(columns))
        for row in texts:
            table.add_row(*map(Text, row))
        console = Console()
        needed = sum(max(map(len, column)) + 1 for column in list(zip(names, *texts, strict=True))[:-1])
        # On a narrow terminal the lines go on below, as they are.
        console.width = max(console.width, needed + MIN_FOLDED)
        console.print(table)

    def fields(self, pairs: Iterable[tuple[str, Any]]) -> None:
        """Names and values, one a line."""
        found = [(name, self._cell(value)) for name, value in pairs]
        width = max((len(name) for name, _ in found), default=0) + 1
        for name, text in found:
            click.echo(f"{click.style(f'{name}:'.ljust(width), bold=True)} {text}")

    def number(self, value: float) -> str:
        """For eyes on a terminal, and for programs elsewhere."""
        return f"{value:,}" if sys.stdout.isatty() else str(value)

    def _cell(self, value: Any) -> str:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return self.number(value) if is_number else shown(value)


def number(count: int, what: str) -> str:
    """So many of something whose plural ends in s."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def items_of(count: int, items: str, told: str | None = None) -> str:
    """So many items, whose plural is given; `told` is the number as it is to stand there."""
    return f"{told or f'{count:,}'} {items.removesuffix('s') if count == 1 else items}"


def shortened(text: str) -> str:
    """A text that a person still reads to its end: what is longer ends in an ellipsis."""
    if len(text) <= MAX_CELL:
        return text
    return f"{text[: MAX_CELL - 1].rsplit(' ', 1)[0]} …"


def shown(value: Any) -> str:
    """A value of JSON in words; nothing is a dash."""
    if value in (None, "", [], {}):
        return "-"
    match value:
        case bool():
            return "yes" if value else "no"
        case str():
            return printable(value)
        case list():
            return ", ".join(map(shown, value))
        case dict():
            return ", ".join(f"{printable(name)}={shown(inner)}" for name, inner in value.items())
        case _:
            return str(value)


def printable(text: str) -> str:
    """Text that others have written, without characters that steer a terminal."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text
    )
