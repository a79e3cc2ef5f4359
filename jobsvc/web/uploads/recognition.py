"""What an uploaded file is, by its first bytes: a CSV as it is, something that becomes one, or something else."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

HEAD_BYTES = 4096
"""How much of a file tells what it is."""

GZIP_MAGIC = b"\x1f\x8b"
"""How every gzip file begins (RFC 1952)."""

_UNICODE_MARKS = {
    # The longer first: UTF-32's little-endian mark begins with UTF-16's.
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}

_CSV_IN_IT = "unpack it, and upload the CSV file that is in it (gzip is unpacked here)"
_AS_CSV = "save it as CSV, and upload that"

_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook (xls)", _AS_CSV),
    (b"%PDF-", "a PDF", "upload the table as CSV"),
    (b"BZh", "a bzip2 file", _CSV_IN_IT),
    (b"\xfd7zXZ\0", "an xz file", _CSV_IN_IT),
    (b"\x28\xb5\x2f\xfd", "a zstd file", _CSV_IN_IT),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _CSV_IN_IT),
    (b"Rar!\x1a\x07", "a RAR archive", _CSV_IN_IT),
    (b"PAR1", "a Parquet file", _AS_CSV),
    (b"SQLite format 3\0", "an SQLite database", _AS_CSV),
    (b"\x89PNG\r\n\x1a\n", "a picture (PNG)", "upload the table as CSV"),
    (b"\xff\xd8\xff", "a picture (JPEG)", "upload the table as CSV"),
    (b"GIF8", "a picture (GIF)", "upload the table as CSV"),
    (b"\x7fELF", "a program", "upload a CSV file"),
)

_HTML = re.compile(rb"<(!doctype\s+html|html|head|body|table)[\s>]", re.IGNORECASE)
_XML = re.compile(rb"<\?xml\s", re.IGNORECASE)
# A header may begin with a bracket, as in [id],[name]; what JSON has next begins no name.
_JSON = re.compile(rb'\{\s*("|\}\s*\Z)|\[\s*([{"\[]|(-?[0-9]+(\.[0-9]+)?|true|false|null)\s*(,|\]\s*\Z)|\]\s*\Z)')


_GOES_ON = b"\0"


class NotReadable(Exception):
    """The file is no CSV and nothing that becomes one; the text names what it is and what to do."""


@dataclass(frozen=True)
class Gzip:
    """It is to be unpacked."""


@dataclass(frozen=True)
class Unicode:
    """It is to be brought from `codec` into UTF-8; `mark` bytes at its beginning say which codec it is."""

    codec: str
    mark: int


def recognised(head: bytes, whole: bool) -> Gzip | Unicode | None:
    """What a file that begins with `head` is (all of it is there if it is `whole`); None for a CSV as it is.

    Raises NotReadable.
    """
    if head.startswith(GZIP_MAGIC):
        return Gzip()
    for mark, codec in _UNICODE_MARKS.items():
        if head.startswith(mark):
            return Unicode(codec, len(mark))
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        raise _not_csv(*_zip(head))
    for magic, what, way_out in _MAGIC:
        if head.startswith(magic):
            raise _not_csv(what, way_out)
    if head[257:262] == b"ustar":
        raise _not_csv("a tar archive", _CSV_IN_IT)
    # Where it is cut it does not end.
    text = head.removeprefix(codecs.BOM_UTF8).lstrip() + (b"" if whole else _GOES_ON)
    if _HTML.match(text):
        raise _not_csv("a web page (HTML)", "a download may have asked for a login; upload the CSV file itself")
    if _XML.match(text):
        raise _not_csv("XML", _AS_CSV)
    if _JSON.match(text):
        raise _not_csv("JSON", _AS_CSV)
    if _is_unmarked_utf16(head, whole):
        raise NotReadable(
            "the file looks like UTF-16 without a byte order mark; save it as UTF-8, or as Unicode text with its mark"
        )
    return None


def _zip(head: bytes) -> tuple[str, str]:
    if b"[Content_Types].xml" in head or b"xl/" in head or b"_rels/.rels" in head:
        return "an Excel workbook (xlsx)", _AS_CSV
    if b"opendocument.spreadsheet" in head:
        return "an OpenDocument spreadsheet (ods)", _AS_CSV
    return "a zip archive", _CSV_IN_IT


def _not_csv(what: str, way_out: str) -> NotReadable:
    return NotReadable(f"the file is {what}, not CSV; {way_out}")


def _is_unmarked_utf16(head: bytes, whole: bool) -> bool:
    """Whether every other byte is a NUL: ASCII text in UTF-16."""
    sample = head if whole else head[: len(head) // 2 * 2]
    if len(sample) < 4 or len(sample) % 2:
        return False
    return any(not sample[at::2].strip(b"\0") and 0 not in sample[1 - at :: 2] for at in (0, 1))
