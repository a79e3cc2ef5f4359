"""The encodings of the list, tried byte by byte."""

from __future__ import annotations

import codecs
from collections.abc import Iterator

import pytest

from jobsvc.kinds.csv.encodings import MULTI_BYTE, SINGLE_BYTE, known_encoding
from jobsvc.kinds.csv.params import CsvParams
from tests.support.api import Api

STRUCTURE = "\n\r\0\t\",;| '0123456789:-_.()"
"""What the reader looks for, and what is written around refused rows."""

LONGEST = 4
"""Bytes of the longest sequence; of those that make up a syllable of eight bytes in euc_kr, the beginning is tried."""

FEW = bytes([0x0A, 0x0D, 0x00, 0x22, 0x2C, 0x30, 0x39, 0x5C, 0x7C, 0x81, 0xA1, 0xFE])
"""From the third byte on: what matters to the reader, and the ends of what the codecs know."""


def decoded(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def sequences(encoding: str) -> Iterator[tuple[bytes, str]]:
    """What one, two and (sampled) more bytes decode to, where the first of them alone is not the whole."""
    incremental = codecs.getincrementaldecoder(encoding)

    def begin(before: bytes) -> Iterator[tuple[bytes, str]]:
        for byte in range(256) if len(before) < 2 else FEW:
            data = before + bytes([byte])
            try:
                text = incremental().decode(data)
            except UnicodeDecodeError:
                continue
            if text:
                yield data, text
            elif len(data) < LONGEST:
                yield from begin(data)

    yield from begin(b"")


@pytest.mark.parametrize("encoding", sorted(SINGLE_BYTE | MULTI_BYTE))
def test_no_sequence_stands_for_what_the_reader_looks_for_but_the_byte_itself(encoding: str) -> None:
    for character in STRUCTURE:
        assert character.encode(encoding) == character.encode(), (encoding, character)
        assert decoded(character.encode(), encoding) == character
    for data, text in sequences(encoding):
        assert not set(text) & set(STRUCTURE) or data == text.encode(), (encoding, data, text)
        # It is stored as UTF-8, and a refused row is given back in the file's own encoding.
        text.encode()
        assert text.encode(encoding).decode(encoding) == text, (encoding, data, text)


@pytest.mark.parametrize("encoding", sorted(SINGLE_BYTE))
def test_single_bytes_decode_one_by_one(encoding: str) -> None:
    known = {byte: text for byte in range(256) if (text := decoded(bytes([byte]), encoding)) is not None}
    pairs = b"".join(bytes([one, other]) for one in known for other in known)
    assert pairs.decode(encoding) == "".join(map(known.__getitem__, pairs))


@pytest.mark.parametrize("encoding", sorted(MULTI_BYTE))
def test_a_line_decodes_as_it_does_within_the_file(encoding: str) -> None:
    """Whatever stands before a line end, and whatever after it: it is an end, or all of it is not decodable."""
    for one in range(256):
        for other in range(256):
            line = bytes([one, other, 0x0A])
            # Behind it there is enough for any sequence that would swallow the end.
            whole = decoded(line + b"0000\n", encoding)
            alone = decoded(line, encoding)
            assert whole == (None if alone is None else f"{alone}0000\n"), (encoding, line)
            assert alone is None or alone.count("\n") == line.count(b"\n"), (encoding, line)
    for start in (b"\x8f\xa1", b"\x81\x30\x81", b"\xe3\x81", b"\xf0\x9f\x98", b"\xa4\xd4\xa4\xa1\xa4"):
        line = start + b"\n"
        whole = decoded(line + b"0000\n", encoding)
        alone = decoded(line, encoding)
        assert whole == (None if alone is None else f"{alone}0000\n"), (encoding, line)


def test_every_encoding_of_the_list_is_known_by_its_own_name_and_others_are_refused_however_they_are_spelled() -> None:
    for encoding in SINGLE_BYTE | MULTI_BYTE:
        assert known_encoding(encoding).replace("-", "_") == encoding
        assert CsvParams(encoding=encoding.upper()).encoding == known_encoding(encoding)
    for wrong in (
        *["raw_unicode_escape", "raw-unicode-escape", "RAW UNICODE ESCAPE", "rawunicodeescape", "unicode escape"],
        *["rot13", "rot_13", "idna", "mbcs", "oem", "undefined", "uu", "uu_codec", "base64", "zip", "bz2", "charmap"],
        *["cp864", "mac_arabic", "cp1140", "utf-16", "U16", "utf_7", "unicode-1-1-utf-7", "hz-gb", "csiso2022jp"],
    ):
        with pytest.raises(ValueError, match="utf-8, latin-1, cp1252, shift_jis"):
            known_encoding(wrong)


@pytest.mark.parametrize("encoding", ["shift_jis_2004", "shift_jisx0213"])
def test_a_delimiter_that_another_character_stands_for_is_refused(encoding: str) -> None:
    with pytest.raises(ValueError, match="in the place of the delimiter '~'"):
        CsvParams(delimiter="~", encoding=encoding)


BACKSLASHES = b"\x81\x5f"
"""Two bytes, of which none is a backslash; in some encodings they stand for one."""


def test_a_field_is_stored_as_what_it_decodes_to_on_both_paths(api: Api) -> None:
    sent: dict[str, list[list[str]]] = {}
    for encoding in sorted(MULTI_BYTE - {"utf_8"}):
        # Nothing in these bytes asks for a closer look.
        fields = [text for data, text in sequences(encoding) if len(data) == 2 and b"\\" not in data][::397]
        if (tricky := decoded(BACKSLASHES, encoding)) is not None:
            fields += [tricky, f"{tricky}n", f"x{tricky}"]
        rows = b"".join(b"%s,x\n" % field.encode(encoding) for field in fields)
        for first in (b"0,x\n", b'"0",x\n'):
            job_id = api.upload(b"a,b\n" + first + rows, encoding=encoding)
            sent[job_id] = [["0", "x"], *([field, "x"] for field in fields)]
    for job_id, rows_sent in sent.items():
        api.succeeded(job_id)
        assert [list(record["data"].values()) for record in api.records(job_id)] == rows_sent, api.job(job_id)
