"""How forms call what says how an uploaded file is read: parameters that most kinds have (`KindParams.reading`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

A_MOMENT = datetime(2026, 12, 31, 17, 45, 9)  # noqa: DTZ001 (only shown)


class Choice(NamedTuple):
    value: str
    label: str


@dataclass(frozen=True)
class Words:
    """How a parameter is told."""

    label: str
    help: str = ""
    choices: Mapping[str, str] = field(default_factory=dict)
    """By value, what it is called."""
    labelled: Callable[[str], str] | None = None
    """What other values are called, if not as they are."""
    offers: bool = False
    """Whether the examples of its schema are what there is to choose."""
    takes_others: bool = False
    """Whether there are more than those."""
    default: str = ""
    """What it means to choose nothing."""
    none: str = ""
    """What it means to say that it is an empty text."""


ENCODINGS = {
    "utf-8": "UTF-8",
    "cp1252": "Western (Windows, cp1252)",
    "latin-1": "Western (ISO 8859-1, latin-1)",
    "iso8859_15": "Western with € (ISO 8859-15)",
    "mac_roman": "Western (old Mac)",
    "cp850": "Western (DOS, cp850)",
    "cp437": "English (DOS, cp437)",
    "cp1250": "Central European (Windows, cp1250)",
    "iso8859_2": "Central European (ISO 8859-2)",
    "cp852": "Central European (DOS, cp852)",
    "cp1251": "Cyrillic (Windows, cp1251)",
    "iso8859_5": "Cyrillic (ISO 8859-5)",
    "cp866": "Cyrillic (DOS, cp866)",
    "koi8_r": "Russian (KOI8-R)",
    "koi8_u": "Ukrainian (KOI8-U)",
    "cp1253": "Greek (Windows, cp1253)",
    "iso8859_7": "Greek (ISO 8859-7)",
    "cp1254": "Turkish (Windows, cp1254)",
    "iso8859_9": "Turkish (ISO 8859-9)",
    "cp1255": "Hebrew (Windows, cp1255)",
    "iso8859_8": "Hebrew (ISO 8859-8)",
    "cp1256": "Arabic (Windows, cp1256)",
    "iso8859_6": "Arabic (ISO 8859-6)",
    "cp1257": "Baltic (Windows, cp1257)",
    "cp1258": "Vietnamese (Windows, cp1258)",
    "cp874": "Thai (Windows, cp874)",
    "shift_jis": "Japanese (Shift JIS)",
    "cp932": "Japanese (Windows, cp932)",
    "euc_jp": "Japanese (EUC-JP)",
    "cp949": "Korean (Windows, cp949)",
    "gb18030": "Chinese (GB 18030)",
    "gbk": "Chinese (GBK)",
    "big5": "Chinese, traditional (Big5)",
}
"""What the encodings are called that people may look for."""

READING = {
    "delimiter": Words(
        "Fields are separated by",
        choices={
            "auto": "Detect it",
            "comma": "Comma ,",
            "semicolon": "Semicolon ;",
            "tab": "Tab",
            "pipe": "Vertical bar |",
        },
        offers=True,
        takes_others=True,
    ),
    "encoding": Words(
        "Text encoding", "A byte order mark in the file counts for more.", choices=ENCODINGS, offers=True
    ),
    "quotes": Words(
        "A quote mark",
        choices={
            "strict": "Encloses a field",
            "lazy": "Encloses a field; stray ones are characters",
            "none": "Is a character, always",
        },
    ),
    "ragged": Words(
        "Rows with too few fields", choices={"refuse": "Refuse them", "pad": "Fill them up with empty fields"}
    ),
    "max_failed": Words(
        "Give up after refused rows", "The job fails when more rows than this are refused. Empty: any number may be."
    ),
    "date_column": Words(
        "Column with the date",
        "Empty: the column called date, if there is one.",
        none="None: all records get the day of upload",
    ),
    "date_format": Words(
        "Dates look like",
        labelled=A_MOMENT.strftime,
        offers=True,
        takes_others=True,
        default="2026-12-31, with or without a time",
    ),
}
"""By name."""
