"""The options of every kind that reads an uploaded CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from jobsvc.kinds.contract import BadUpload, JobFailed, KindParams, Readable
from jobsvc.kinds.csv.detection import NAMES, detected_delimiter
from jobsvc.kinds.csv.encodings import ALLOWED, UTF_8, known_encoding
from jobsvc.kinds.csv.format import MAX_ROW_BYTES, CsvFormat, Quotes, Ragged
from jobsvc.kinds.csv.header import read_header, read_opening

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
        """A few encodings have something else in the place of ASCII's tilde."""
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


P = TypeVar("P", bound=UploadParams)


@dataclass(frozen=True)
class Settled(Generic[P]):
    """Parameters as they fit the file, the file's columns, and what its owner should know."""

    params: P
    columns: list[str]
    warnings: Sequence[str]


def settled(params: P, upload: Readable) -> Settled[P]:
    """Look at the beginning of an upload. Raises BadParameter, and BadUpload if there is no header to be read."""
    warnings = []
    with upload.open("rb") as file:
        form = params.form(MAX_ROW_BYTES)
        opening = read_opening(file)
        if opening.marked and params.encoding != UTF_8:
            params = params.model_copy(update={"encoding": UTF_8})
            warnings.append("a byte order mark says that the file is UTF-8: it is read so")
        if opening.separator is not None or params.delimiter == AUTO:
            found = detected_delimiter(file, form)
            if found not in (",", params.delimiter):
                why = "the file names its delimiter" if opening.separator else "the delimiter was detected"
                warnings.append(f"{why}: {NAMES.get(found, found)}")
            params = params.model_copy(update={"delimiter": found})
        try:
            columns = read_header(file, params.form(MAX_ROW_BYTES)).columns
        except JobFailed as error:
            raise BadUpload(str(error)) from None
    return Settled(params, columns, warnings)
