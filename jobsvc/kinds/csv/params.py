"""The parameters of every kind that reads an uploaded CSV.

An option that changes how rows are read goes on into `format.py` (by `form`), and from there to
`rows.py`, to the quick paths of `source.py`, which must leave rows alone that it concerns, and to
`Dialect.of` in `left_over.py`, which reads the stored parameters again.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from jobsvc.kinds.csv.encodings import ALLOWED, UTF_8, known_encoding
from jobsvc.kinds.csv.format import CsvFormat, Quotes, Ragged
from jobsvc.kinds.params import KindParams

AUTO = "auto"


def _delimiter(text: str) -> str:
    named = {"tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}.get(text.lower(), text)
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

    delimiter: Annotated[str, AfterValidator(_delimiter)] = Field(
        AUTO, description="what separates fields: one character, comma, semicolon, tab, pipe, or auto to detect it"
    )
    encoding: Annotated[str, AfterValidator(known_encoding)] = Field(
        UTF_8, description=f"the text encoding of the file, unless a byte order mark says another; {ALLOWED}"
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
        """How the file is read, once the delimiter is settled."""
        delimiter = "," if self.delimiter == AUTO else self.delimiter
        return CsvFormat(self.encoding, delimiter, self.quotes, self._ragged, max_row_bytes)

    @property
    def _ragged(self) -> Ragged:
        return Ragged.ANY


class CsvParams(UploadParams):
    """How an uploaded CSV is to be read whose rows have a field for each column."""

    ragged: Literal["refuse", "pad"] = Field(
        "refuse", description="rows with fewer fields than the header: refuse them, or pad them with empty fields"
    )

    @property
    def _ragged(self) -> Ragged:
        return Ragged(self.ragged)
