"""What the reader of a CSV file has to be told of how it is written."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from jobsvc.kinds.errors import Reason

DEFAULT_MAX_ROW_BYTES = 1024 * 1024
"""The longest row by default, in bytes."""


MAX_ROW_BYTES = 16 * 1024 * 1024
"""The highest limit that may be set."""


class Quotes(StrEnum):
    """What a quote mark means."""

    STRICT = "strict"
    """It encloses a field, doubled inside it; anything else after a closing quote refuses the row."""
    LAZY = "lazy"
    """Inside an enclosed field, one that no delimiter or line end follows is a character."""
    NONE = "none"
    """It is a character, always."""


class Ragged(StrEnum):
    """What becomes of a row with another number of fields than the header."""

    REFUSE = "refuse"
    PAD = "pad"
    """Missing fields at the end are empty; a row with too many is refused."""
    ANY = "any"
    """Each row has as many as it has."""


@dataclass(frozen=True)
class CsvFormat:
    """How the rows of one file are told apart and read. `UploadParams.form` makes it of the options of its upload."""

    encoding: str = "utf-8"
    delimiter: str = ","
    quotes: Quotes = Quotes.STRICT
    ragged: Ragged = Ragged.REFUSE
    max_row_bytes: int = DEFAULT_MAX_ROW_BYTES

    @property
    def too_long(self) -> Reason:
        """Why a row that is longer is refused."""
        text = f"the row is longer than {self.max_row_bytes} bytes"
        return Reason(text, group=text)
