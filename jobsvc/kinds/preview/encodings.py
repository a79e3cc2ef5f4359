"""Which encodings a file may have whose bytes are no text in the one that it is read by: for people to choose from."""

from __future__ import annotations

from dataclasses import dataclass

from jobsvc.kinds.csv.encodings import known_encoding
from jobsvc.kinds.csv.text import shortened

LOOKED_AT_BYTES = 64 * 1024

AS_LIKELY = 0.5
"""An encoding is named if it is at least this likely, compared with the likeliest."""

MOST_NAMED = 3

LINES_COMPARED = 1000

COMMONEST = "cp1252"
"""Few bytes tell little: of those that are likely it comes first, and it is named for any that reads the same."""


@dataclass(frozen=True)
class SuggestedEncoding:
    encoding: str
    text: str
    """A line of the file as it reads then."""


def suggested_encodings(data: bytes, encoding: str) -> list[SuggestedEncoding]:
    """The likeliest first; none if `data`, lines of a file, is text in `encoding`, or in nothing that is known."""
    if _is_text(data, encoding):
        return []
    lines = [line for line in data.splitlines() if not line.isascii()]
    commonest = data.decode(COMMONEST) if _is_text(data, COMMONEST) else None
    found: dict[str, str] = {}
    for name in _likely(b"\n".join(lines)[:LOOKED_AT_BYTES]):
        # Many encodings read the same text in most files.
        if _is_text(data, name) and len(found) < MOST_NAMED:
            text = data.decode(name)
            found.setdefault(text, COMMONEST if text == commonest else name)
    names = list(found.values())
    told = _telling_line(lines, encoding, names)
    return [SuggestedEncoding(name, shortened(told.decode(name).strip())) for name in names]


def _telling_line(lines: list[bytes], encoding: str, names: list[str]) -> bytes:
    """The first of the lines that are no text in `encoding` that the others read the most differently."""
    odd = [line for line in lines[:LINES_COMPARED] if not _is_text(line, encoding)]
    odd = odd or [line for line in lines if not _is_text(line, encoding)][:1] or lines[:1]
    return max(odd, key=lambda line: len({line.decode(name) for name in names}))


def _likely(data: bytes) -> list[str]:
    # It takes 30 MB and a tenth of a second, and few files need it.
    from chardet import EncodingEra, detect_all  # noqa: PLC0415

    guesses = detect_all(data, ignore_threshold=True, encoding_era=EncodingEra.MODERN_WEB)
    best = max((guess["confidence"] for guess in guesses), default=0.0)
    names: dict[str, None] = {}
    for guess in guesses:
        name = _name(guess["encoding"])
        if name is not None and guess["confidence"] >= AS_LIKELY * best:
            names[name] = None
    return sorted(names, key=lambda name: name != COMMONEST)


def _name(guessed: str | None) -> str | None:
    """An encoding as the service calls it; None for one in which no file is read."""
    try:
        return None if guessed is None else known_encoding(guessed)
    except ValueError:
        return None


def _is_text(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
