"""The options of every kind that reads an uploaded CSV."""

from __future__ import annotations

from typing import Annotated, BinaryIO

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from jobsvc.kinds.contract import BadParameter, JobFailed, KindParams, Readable
from jobsvc.kinds.csv_encodings import ALLOWED, UTF_8, known_encoding
from jobsvc.kinds.csv_source import read_header

AUTO = "auto"

DETECTED_DELIMITERS = ",;\t|"
"""What `auto` chooses from, the likeliest first."""

DETECTION_BYTES = 64 * 1024


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


class CsvParams(KindParams):
    """How the uploaded CSV is to be read."""

    delimiter: Annotated[str, AfterValidator(_delimiter)] = Field(
        ",", description="what separates fields: one character, comma, semicolon, tab, pipe, or auto to detect it"
    )
    encoding: Annotated[str, AfterValidator(known_encoding)] = Field(
        UTF_8, description=f"the text encoding of the file; {ALLOWED}"
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


def settled_delimiter(params: CsvParams, upload: Readable) -> str:
    """The delimiter; for `auto`, what the file's first line has most of. Raises BadParameter if it has none."""
    if params.delimiter != AUTO:
        return params.delimiter
    with upload.open("rb") as file:
        head = file.read(DETECTION_BYTES).split(b"\n", 1)[0].decode(params.encoding, "replace")
    unquoted = "".join(head.split('"')[::2])
    counts = {delimiter: unquoted.count(delimiter) for delimiter in DETECTED_DELIMITERS}
    most = max(DETECTED_DELIMITERS, key=lambda delimiter: counts[delimiter])
    if counts[most] == 0:
        raise BadParameter("delimiter", "none could be detected in the header; name it, for example comma")
    return most


def header_of(params: CsvParams, upload: Readable) -> list[str] | None:
    """The columns of an uploaded file; None if it has no readable header, which will fail the job."""
    try:
        with upload.open("rb") as file:
            return _columns(file, params)
    except JobFailed:
        return None


def _columns(file: BinaryIO, params: CsvParams) -> list[str]:
    return read_header(file, params.encoding, params.delimiter)[1]
