"""What commands print: JSON for scripts, tables on a terminal, plain lines elsewhere."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click

MIN_FOLDED = 24
"""So many characters of a row's last column stand in a line at least."""


class Output:
    """Standard output has the result, standard error what happens meanwhile."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json

    def json(self, value: Any) -> None:
        """One line."""
        click.echo(json.dumps(value, ensure_ascii=False))

    def line(self, text: str) -> None:
        click.echo(printable(text))

    def note(self, text: str) -> None:
        """For people only, beside the result."""
        if not self.as_json:
            click.echo(printable(text), err=True)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, theirs: bool = False) -> None:
        """A table; fields are separated by tabs where it is not a terminal. `theirs`: the names come from a file."""
        names = [printable(name) if theirs else name.upper() for name in columns]
        texts = [[shown(value) for value in row] for row in rows]
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
        found = [(name, shown(value)) for name, value in pairs]
        width = max((len(name) for name, _ in found), default=0) + 1
        for name, text in found:
            click.echo(f"{click.style(f'{name}:'.ljust(width), bold=True)} {text}")


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
