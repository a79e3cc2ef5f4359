"""The options of every kind that reads an uploaded CSV."""

from __future__ import annotations

import codecs
from typing import Annotated, BinaryIO

from pydantic import AfterValidator, Field

from jobsvc.kinds.contract import BadParameter, JobFailed, KindParams, Readable
from jobsvc.kinds.csv_source import read_header

AUTO = "auto"

DETECTED_DELIMITERS = ",;\t|"
"""What `auto` chooses from, the likeliest first."""

DETECTION_BYTES = 64 * 1024

UTF_8 = "utf-8"


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


def _encoding(text: str) -> str:
    """Encodings that work line by line: a newline is one byte, and no other character has that byte in it."""
    allowed = "it must be one in which a line end is the byte 0A, such as utf-8, latin-1, cp1252, shift_jis or gb18030"
    try:
        name = codecs.lookup(text).name
        if name == "utf-8-sig":
            # A byte order mark is always accepted.
            return UTF_8
        newline_alone = "\n".encode(name) == b"\n" and ",".encode(name) == b"," and '"'.encode(name) == b'"'
    except (LookupError, ValueError, TypeError, AttributeError):
        raise ValueError(f"{text!r} is not a text encoding that is known; {allowed}") from None
    if not newline_alone or name.startswith(
        ("utf-16", "utf-32", "utf-7", "iso2022", "hz", "punycode", "idna", "unicode_escape", "raw_unicode_escape")
    ):
        raise ValueError(f"{text!r} is not usable; {allowed}")
    return name


class CsvParams(KindParams):
    """How the uploaded CSV is to be read."""

    delimiter: Annotated[str, AfterValidator(_delimiter)] = Field(
        ",", description="what separates fields: one character, comma, semicolon, tab, pipe, or auto to detect it"
    )
    encoding: Annotated[str, AfterValidator(_encoding)] = Field(UTF_8, description="the text encoding of the file")
    max_failed: int | None = Field(None, ge=0, description="the job fails when more rows than this are refused")
    dry_run: bool = Field(False, description="read and check everything, but make nothing")


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
