"""The parameters of every kind that reads an uploaded CSV. Read this before you add an upload option.

Where an option stands says which kinds have it: in `UploadParams` all that take a file (`bulkTeam` too),
in `CsvParams` those whose rows have a field for each column, in a kind's own `Params` that kind alone.

An option that changes how rows are read is a field of `CsvFormat` (`format.py`), which `form` fills in.
It is accepted and ignored until these obey it, as far as it concerns them:

* `rows.py`, which reads rows one by one: what is a row, what its fields are, why it is refused,
  and what is blank (`RowReader.is_blank`).
* The quick paths: `CsvSource._whole_batch` and what it calls in `source.py`, and `simple_lines.py`.
  They must give the same, or leave alone the rows that the option concerns. What is blank is told
  in each of them (`_fit_rows`, `_of_one_width`).
* `header.py` and `detection.py`. They read rows by `rows.py`; what stands before the header
  (`read_opening`), and what counts as nothing in a sample, they tell by themselves.
* `Dialect.of` in `left_over.py`, which reads the stored parameters again: only if the option changes
  the header, the text of a row, or where a row is cut.

An option that changes what is done with rows, as `max_failed` and `dry_run` do, needs none of this:
the run reads `KindParams.most_refused`, and each kind obeys `dry_run` itself.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from jobsvc.kinds.csv.encodings import ALLOWED, NAMES, UTF_8, known_encoding
from jobsvc.kinds.csv.format import CsvFormat, Quotes, Ragged
from jobsvc.kinds.params import KindParams

AUTO = "auto"

NAMED = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
"""Delimiters that have a name."""


def _delimiter(text: str) -> str:
    named = NAMED.get(text.lower(), text)
    if named == AUTO:
        return AUTO
    if len(named) != 1 or not named.isascii() or named.isalnum() or named in '"\r\n\0\\':
        raise ValueError(
            f"{text!r} is not usable: it must be {AUTO}, comma, semicolon, tab, pipe, or one ASCII character that is "
            "no letter, digit, quote, backslash or line end"
        )
    return named


class UploadParams(KindParams):
    """How an uploaded CSV is to be read, whatever its rows are."""

    reading: ClassVar[frozenset[str]] = frozenset({"delimiter", "encoding", "quotes", "max_failed"})

    delimiter: Annotated[str, AfterValidator(_delimiter)] = Field(
        AUTO,
        description="what separates fields: one character, comma, semicolon, tab, pipe, or auto to detect it",
        examples=[AUTO, *NAMED],
    )
    encoding: Annotated[str, AfterValidator(known_encoding)] = Field(
        UTF_8,
        description=f"the text encoding of the file, unless a byte order mark says another; {ALLOWED}",
        examples=list(NAMES),
    )
    quotes: Quotes = Field(
        Quotes.STRICT,
        description="strict: a quote mark encloses a field; lazy: inside such a field, one that no delimiter or line "
        "end follows is a character; none: it is always a character",
    )
    max_failed: int | None = Field(None, ge=0, description="the job fails when more rows than this are refused")
    dry_run: bool = Field(False, description="read and check everything, but make nothing")

    @field_validator("encoding")
    @classmethod
    def _delimiter_is_itself(cls, encoding: str, info: ValidationInfo) -> str:
        """A few encodings have another character in the place of ASCII's tilde."""
        delimiter = info.data.get("delimiter", AUTO)
        if delimiter != AUTO and delimiter.encode(encoding) != delimiter.encode():
            raise ValueError(f"{encoding!r} has another character in the place of the delimiter {delimiter!r}")
        return encoding

    def form(self, max_row_bytes: int) -> CsvFormat:
        """How the file is read, once the delimiter is settled. A row may have any number of fields."""
        return CsvFormat(
            encoding=self.encoding,
            delimiter="," if self.delimiter == AUTO else self.delimiter,
            quotes=self.quotes,
            ragged=Ragged.ANY,
            max_row_bytes=max_row_bytes,
        )


class CsvParams(UploadParams):
    """How an uploaded CSV is to be read whose rows have a field for each column."""

    reading = UploadParams.reading | {"ragged"}

    ragged: Literal["refuse", "pad"] = Field(
        "refuse", description="rows with fewer fields than the header: refuse them, or pad them with empty fields"
    )

    def form(self, max_row_bytes: int) -> CsvFormat:
        """The same, where a row has a field for each column."""
        return replace(super().form(max_row_bytes), ragged=Ragged(self.ragged))
