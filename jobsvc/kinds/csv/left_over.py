"""The rows that a job has left over of its CSV file, byte for byte, as CSV that can be uploaded again."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

from jobsvc.kinds.batch import Cursor, Refusal
from jobsvc.kinds.csv.encodings import UTF_8, known_encoding
from jobsvc.kinds.csv.format import MAX_ROW_BYTES, CsvFormat, Quotes
from jobsvc.kinds.csv.header import REFUSED_COLUMNS, Header, read_header
from jobsvc.kinds.csv.text import as_sent, csv_text
from jobsvc.kinds.errors import JobFailed

PIECE_BYTES = 256 * 1024

ANY_BYTES = "latin-1"
"""An encoding in which every byte is a character."""


class CsvLeftOver:
    """Reads the file again, where refusals and cursors point. Implements `contract.LeftOverRows`."""

    def __init__(self, params: Mapping[str, Any], file: BinaryIO | None, columns: Sequence[str]) -> None:
        self._dialect = Dialect.of(params)
        self._file = file
        self._columns = columns
        self._header: Header | None = None
        if file is not None:
            # From the file itself: the job's cursor is gone after a rollback.
            with suppress(JobFailed):
                self._header = read_header(file, self._dialect.form)

    def head(self) -> bytes:
        """`_line`, `_error` and the other columns, in the file's own dialect."""
        return self._dialect.row([*REFUSED_COLUMNS, *(self._header.columns if self._header else self._columns)])

    def refused(self, refusal: Refusal) -> Iterator[bytes]:
        """The line, the reason, and the row byte for byte. Without a place in a file: the item's number, the reason."""
        told = self._dialect.row([refusal.line or refusal.item, refusal.error])
        if self._file is None or refusal.offset is None:
            yield told
            return
        yield told[:-1] + self._dialect.form.delimiter.encode()
        extra = self._header.start["extra"] if self._header else 0
        yield from _bytes_of(self._file, refusal.offset, refusal.length or 0, self._dialect, extra)

    def unprocessed(self, cursor: Cursor | None) -> Iterator[bytes]:
        """The header, and every row after the cursor."""
        if self._file is None:
            return
        header_end = self._header.start["offset"] if self._header else 0
        self._file.seek(0)
        yield self._file.read(header_end)
        offset = None if cursor is None else cursor.get("offset")
        self._file.seek(header_end if offset is None else offset)
        while data := self._file.read(PIECE_BYTES):
            yield data


def _bytes_of(file: BinaryIO, offset: int, length: int, dialect: Dialect, extra: int) -> Iterator[bytes]:
    """A row as it was sent, in pieces, without its first `extra` columns. It always has a line end."""
    file.seek(offset)
    last = b""
    while length > 0 and (data := file.read(min(length, PIECE_BYTES))):
        length -= len(data)
        if extra:
            # They are ours, and short: a number, and a reason.
            data, extra = data[dialect.cut(data, extra) :], 0
        if data:
            yield data
            last = data[-1:]
    if last not in (b"\n", b"\r"):
        yield b"\n"


def as_text(params: Mapping[str, Any], data: bytes, most: int) -> str:
    """What a row of an upload says, for people to read; of its text `most` characters."""
    return as_sent(data, Dialect.of(params).form.encoding, most)


@dataclass(frozen=True)
class Dialect:
    """Reads and writes pieces of the upload of a job that was accepted long ago, in the upload's own format."""

    form: CsvFormat

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Dialect:
        """By the job's stored parameters, which an earlier version may have checked, or another kind.

        Of the options, those are read that change the header, the text of a row, or where it is cut.
        """
        try:
            encoding = known_encoding(params.get("encoding", UTF_8))
        except ValueError:
            # It was allowed once. Every byte is some character here, and remains it.
            encoding = ANY_BYTES
        delimiter = params.get("delimiter", ",")
        quotes = params.get("quotes", Quotes.STRICT)
        return cls(
            CsvFormat(
                encoding=encoding,
                delimiter=delimiter if isinstance(delimiter, str) and len(delimiter) == 1 else ",",
                quotes=Quotes(quotes) if quotes in list(Quotes) else Quotes.STRICT,
                max_row_bytes=MAX_ROW_BYTES,
            )
        )

    def row(self, fields: Sequence[object]) -> bytes:
        """One row. What the encoding has no character for is described in its place."""
        delimiter = self.form.delimiter
        if self.form.quotes is Quotes.NONE:
            # Nothing can enclose them: what would end a field is left out.
            ends = re.compile(f"[\r\n{re.escape(delimiter)}]+")
            text = delimiter.join(ends.sub(" ", str(field)) for field in fields) + "\n"
        else:
            text = csv_text([fields], delimiter)
        return text.encode(self.form.encoding, "described")

    def cut(self, data: bytes, columns: int) -> int:
        """Where a row's bytes go on after its first fields; their end if it has no more."""
        if not columns:
            return 0
        for encoding in (self.form.encoding, ANY_BYTES):
            try:
                text = data.decode(encoding, "surrogateescape")
                head = text[: self._end_of(text, columns)].encode(encoding, "surrogateescape")
            except UnicodeError:
                # Bytes of which no two runs of characters can be told apart.
                continue
            if data.startswith(head):
                return len(head)
        return 0

    def _end_of(self, text: str, columns: int) -> int:
        at = 0
        for _ in range(columns):
            enclosed = None if self.form.quotes is Quotes.NONE else _ENCLOSED.match(text, at)
            end = text.find(self.form.delimiter, enclosed.end() if enclosed else at)
            if end < 0:
                return len(text.rstrip("\r\n"))
            at = end + 1
        return at


_ENCLOSED = re.compile(r'"(?:[^"]|"")*"')


def _described(error: UnicodeError) -> tuple[str, int]:
    """What stands for characters that an encoding lacks: three points for an ellipsis, else as Python writes them."""
    assert isinstance(error, UnicodeEncodeError)
    lacking = error.object[error.start : error.end]
    return lacking.replace("…", "...").encode("ascii", "namereplace").decode(), error.end


codecs.register_error("described", _described)
