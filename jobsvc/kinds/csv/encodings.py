"""The text encodings that an upload may have.

Files are read line by line, as bytes. In each of these encodings the byte 0A always
means a line end, and nothing else does. Lines that are decoded one by one give the same
text as the whole file. Delimiters and quotes are one byte, which has no other meaning.
A test tries all sequences of one and two bytes in each encoding, and longer ones.
"""

from __future__ import annotations

import codecs

UTF_8 = "utf-8"

_COMMON = (UTF_8, "latin-1", "cp1252", "shift_jis", "gb18030")

# As `codecs.lookup` names them, with hyphens as underscores.
_SINGLE_BYTE = """
ascii
cp437 cp720 cp737 cp775 cp850 cp852 cp855 cp856 cp857 cp858 cp860 cp861 cp862 cp863 cp865 cp866 cp869 cp874
cp1006 cp1125 cp1250 cp1251 cp1252 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258
hp_roman8
iso8859_1 iso8859_2 iso8859_3 iso8859_4 iso8859_5 iso8859_6 iso8859_7 iso8859_8 iso8859_9 iso8859_10
iso8859_11 iso8859_13 iso8859_14 iso8859_15 iso8859_16
koi8_r koi8_t koi8_u kz1048
mac_croatian mac_cyrillic mac_greek mac_iceland mac_latin2 mac_roman mac_romanian mac_turkish
palmos ptcp154 tis_620
"""

_MULTI_BYTE = """
utf_8
big5 big5hkscs cp932 cp949 cp950 euc_jis_2004 euc_jp euc_kr gb18030 gb2312 gbk johab
shift_jis shift_jis_2004 shift_jisx0213
"""

SINGLE_BYTE = frozenset(_SINGLE_BYTE.split())
MULTI_BYTE = frozenset(_MULTI_BYTE.split())

NAMES = (*_COMMON, *sorted((SINGLE_BYTE | MULTI_BYTE) - {"utf_8", *_COMMON}))
"""All of them, those that files often have first."""

ALLOWED = f"it must be one of {', '.join(NAMES)}"
"""What is allowed, for people to read."""


def known_encoding(text: str) -> str:
    """The name by which Python knows an encoding that a file may have. Raises ValueError for any other."""
    try:
        name = codecs.lookup(text).name
    except (LookupError, ValueError, TypeError, AttributeError):
        raise ValueError(f"{text!r} is not a text encoding that is known; {ALLOWED}") from None
    if name == "utf-8-sig":
        # A byte order mark is always accepted.
        return UTF_8
    if name.replace("-", "_") not in SINGLE_BYTE | MULTI_BYTE:
        raise ValueError(f"{text!r} is not usable; {ALLOWED}")
    return name
