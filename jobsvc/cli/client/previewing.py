"""`preview`: how a file would be read, before it is uploaded."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from jobsvc.cli.client.api import Api, kind_path
from jobsvc.cli.client.creating import FILE, KIND, PARAMS, size_of
from jobsvc.cli.client.exits import Ended, Exit
from jobsvc.cli.client.output import Output, shown
from jobsvc.cli.client.talking import command, talks

MOST_BYTES = 1024 * 1024
"""How much the service looks at."""

MOST_CHARACTERS = 24
"""How much of a field, or of the name of a column, stands in the table on a terminal."""

Params = Sequence[tuple[str, str]]


@command()
@FILE
@KIND
@PARAMS
@talks
def preview(api: Api, output: Output, path: str, kind: str | None, params: list[tuple[str, str]]) -> None:
    """Show how FILE would be read: its columns, its first rows as they would be stored, and which would be refused.

    Only the first MiB is sent, and the service keeps nothing of it. `-` reads standard input.
    """
    if kind is not None:
        # An unknown kind is told as by the other commands.
        api.get(kind_path(kind), has="name")
    data, size = _beginning(path)
    query = [*params, *((("kind", kind),) if kind else ()), *((("size", str(size)),) if size is not None else ())]
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(len(data))}
    found = api.put("/previews", query, headers, iter([data]), has="counts")
    if output.as_json:
        output.json(found)
    else:
        _show(output, found, path, kind, params)
    code = _outcome(found)
    if code is not Exit.OK:
        # It has been told already.
        sys.exit(code)


def _beginning(path: str) -> tuple[bytes, int | None]:
    """The first bytes of a file, and the size of all, if that is known."""
    try:
        with click.open_file(path, "rb") as file:
            size = size_of(file)
            data = file.read(MOST_BYTES)
            if size is None and (len(data) < MOST_BYTES or not file.read(1)):
                # A pipe that has ended.
                size = len(data)
    except OSError as error:
        raise Ended(Exit.ERROR, f"the file can't be read: {error.strerror or error}") from None
    return data, None if size is None else max(size, len(data))


def _outcome(found: Mapping[str, Any]) -> Exit:
    if found["error"] is not None:
        return Exit.FAILED if found["error"]["at"] == "job" else Exit.REFUSED
    return Exit.REFUSED_ROWS if found["counts"]["failed"] else Exit.OK


def _show(output: Output, found: Mapping[str, Any], path: str, kind: str | None, params: Params) -> None:
    output.fields(_read_as(found))
    if found["rows"]:
        output.line("")
        _rows(output, found["rows"])
    if found["reasons"]:
        output.line("")
        rows = ([reason["count"], reason["line"], reason["error"]] for reason in found["reasons"])
        output.table(("refused", "first line", "why"), rows)
    output.line("")
    for warning in found["warnings"]:
        output.note(f"warning: {warning}")
    for note in found["notes"]:
        output.note(f"note: {note}")
    for options, why in _suggestions(found):
        output.note(f"try {' '.join(f'-p {shlex.quote(option)}' for option in options)}: {why}")
    if found["error"] is not None:
        output.note(f"error: {_ERRORS[found['error']['at']]}: {found['error']['message']}")
    elif path != "-":
        output.note(f"To upload it: {_command(path, kind, params)}")


_ERRORS = {
    "sample": "it can't be said how it would be read",
    "upload": "the upload would be refused",
    "job": "the job would fail",
}


def _read_as(found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    file, encoding, header = found["file"], found["encoding"], found["header"]
    yield "kind", found["kind"]
    yield "file", _file(file)
    converted = file["converted_from"]
    yield "encoding", f"{converted.upper()}, kept as UTF-8" if converted else encoding["name"]
    if found["delimiter"] is not None:
        delimiter = found["delimiter"]
        yield "delimiter", f"{delimiter['name']} ({_SOURCES[delimiter['source']]})"
    ends = [name.upper() for name, count in found["line_ends"].items() if count]
    yield "line ends", ", ".join(ends)
    yield "quotes", found["quotes"]["mode"]
    if header is not None:
        yield "columns", header["columns"]
        if header["left_out"]:
            yield "left out", header["left_out"]
    if (dates := found["told"].get("dates")) is not None:
        yield "dates", _dates(dates)
    counts = found["counts"]
    of_it = "" if file["whole"] else ", of this part"
    yield "rows", f"{counts['done']:,} done, {counts['failed']:,} refused, {counts['blank']:,} blank{of_it}"
    estimate = found["estimate"]
    if estimate["rows"] is not None and not estimate["exact"]:
        yield "rows in all", f"about {estimate['rows']:,}"


_SOURCES = {
    "file": "the file says so",
    "parameter": "as you say",
    "detected": "detected",
    "default": "the default",
}


def _file(file: Mapping[str, Any]) -> str:
    size = "of unknown size" if file["size_bytes"] is None else f"{file['size_bytes']:,} bytes"
    looked = "" if file["whole"] else f"; looked at the first {file['read_bytes']:,}"
    unpacked = " of what is in it" if looked and file["format"] == "gzip" else ""
    return f"{file['format']}, {size}{looked}{unpacked}"


def _dates(dates: Mapping[str, Any]) -> str:
    if dates["column"] is None:
        return f"the day of upload, {dates['day_of_upload']}"
    return f"from {dates['column']}, as {dates['format']}"


def _suggestions(found: Mapping[str, Any]) -> Iterator[tuple[list[str], str]]:
    """Options that would make more of the file, and why."""
    for encoding in found["encoding"]["suggestions"]:
        yield [f"encoding={encoding['encoding']}"], f"a line reads {shown(encoding['text'])!r} then"
    quotes = found["quotes"]
    if quotes["suggestion"] is not None:
        fewer, now = quotes["refused_rows"][quotes["suggestion"]], quotes["refused_rows"].get(quotes["mode"])
        than = "" if now is None else f", and not {now}"
        yield [f"quotes={quotes['suggestion']}"], f"it refuses {fewer} rows of those looked at{than}"
    for dates in (found["told"].get("dates") or {}).get("suggestions", ()):
        yield [f"{name}={value}" for name, value in dates.items()], "there are more dates then"


def _rows(output: Output, rows: Sequence[Mapping[str, Any]]) -> None:
    """The rows as a table; on a terminal, as many of the columns as there is room for."""
    # What the service adds is called as in an export, so that columns of the file have names of their own.
    flat = [{**{f"_{name}": row[name] for name in row if name != "data"}, **row.get("data", {})} for row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row))
    if not sys.stdout.isatty():
        output.table(names, ([row.get(name) for name in names] for row in flat), theirs=True)
        return
    cells = {name: [_short(row.get(name)) for row in flat] for name in names}
    room = shutil.get_terminal_size().columns
    fit: list[str] = []
    for name in names:
        room -= max(len(_short(name)), *map(len, cells[name])) + 1
        if room < 0 and fit:
            break
        fit.append(name)
    output.table([_short(name) for name in fit], zip(*(cells[name] for name in fit), strict=True), theirs=True)
    if more := names[len(fit) :]:
        output.note(f"and {len(more)} more columns: {', '.join(map(_short, more))}")


def _short(value: Any) -> str:
    text = shown(value)
    return text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1] + "…"


def _command(path: str, kind: str | None, params: Params) -> str:
    """The command that uploads the file with the same options."""
    words = ["jobsvc", "upload", path, *(("--kind", kind) if kind else ())]
    for name, value in params:
        words += ["-p", f"{name}={value}"]
    return shlex.join(words)
