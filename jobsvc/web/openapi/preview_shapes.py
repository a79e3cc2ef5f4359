"""What the answer to a preview looks like, as models for the contract."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict

from jobsvc.web.openapi.shapes import Shape


class PreviewError(Shape):
    """Why nothing would become of the file as a whole."""

    at: Literal["sample", "upload", "job"]
    """`upload`: it would be refused, with a 400; `job`: its job would fail; `sample`: too little of it was sent."""
    message: str
    parameter: str | None
    """The parameter that does not fit the file."""


class PreviewFile(Shape):
    """What kind of file it is. Sizes are in bytes."""

    format: Literal["plain", "gzip"]
    converted_from: str | None
    """The encoding that it had, if it is kept as UTF-8."""
    sent_bytes: int
    size_bytes: int | None
    """Of the whole file, if that is known."""
    read_bytes: int
    """What the preview looks at: unpacked, and at most 1 MiB."""
    whole: bool
    """Whether that is all of the file."""


class SuggestedEncoding(Shape):
    encoding: str
    text: str
    """A line of the file as it reads then."""


class PreviewEncoding(Shape):
    name: str
    marked: bool
    """Whether a byte order mark says so."""
    suggestions: list[SuggestedEncoding]
    """Others, the likeliest first, where the file is no text in this one."""


class LineEnds(Shape):
    """How many lines end so."""

    lf: int
    crlf: int
    cr: int


class PreviewDelimiter(Shape):
    character: str
    name: str
    source: Literal["file", "parameter", "detected", "default"]
    """What says so; `file`: its first line, `sep=`."""


class PreviewQuotes(Shape):
    mode: Literal["strict", "lazy", "none"]
    refused: int
    """Rows that are refused for their quote marks; the header counts as one."""
    refused_rows: dict[str, int] | None
    """How many rows each mode would refuse, but for those that the kind refuses; null: none is for its quotes."""
    suggestion: str | None
    """The mode that refuses the fewest, if that is another."""


class PreviewHeader(Shape):
    columns: list[str]
    """As they would be called."""
    left_out: list[str]
    """Columns that the service itself has put before them."""


class DateSuggestion(Shape):
    """Options with which more dates would be found; an empty `date_format` means the default."""

    date_column: str | None = None
    date_format: str | None = None


class PreviewDates(Shape):
    """Where the dates of records come from."""

    column: str | None
    format: str | None
    day_of_upload: str | None
    """The date of all records, where they have none of their own."""
    suggestions: list[DateSuggestion]


class PreviewTold(Shape):
    """What the kind tells besides. Kinds of your own may tell more."""

    model_config = ConfigDict(extra="allow")

    dates: PreviewDates | None = None


class PreviewRow(Shape):
    """A row as it would be stored. Kinds of your own may show others."""

    model_config = ConfigDict(extra="allow")

    row: int
    """Its number among the rows of the file, from 1."""
    date: str | None = None
    data: dict[str, Any] | None = None
    """The fields by column."""
    name: str | None = None
    members: list[str] | None = None


class PreviewCounts(Shape):
    """Rows of what was read."""

    done: int
    failed: int
    blank: int


class PreviewReason(Shape):
    error: str
    """The first of its sort: others differ in values, and in the option that would read them."""
    count: int
    line: int | None
    """Of the file, of the first row that is refused for it."""


class PreviewRefused(Shape):
    line: int | None
    row: int
    error: str
    text: str
    """The row as it was sent, up to 1,000 characters."""


class PreviewEstimate(Shape):
    rows: int | None
    """Of the whole file, blank lines left aside; null where its size is not known."""
    exact: bool


class Preview(Shape):
    """How a file would be read, as far as it was sent."""

    kind: str
    error: PreviewError | None
    """Null where nothing speaks against the file as a whole."""
    params: dict[str, Any] | None
    """The parameters as a job would have them; null where they or the file would be refused."""
    file: PreviewFile
    encoding: PreviewEncoding
    line_ends: LineEnds
    delimiter: PreviewDelimiter | None
    quotes: PreviewQuotes
    header: PreviewHeader | None
    told: PreviewTold
    rows: list[PreviewRow]
    """The first twenty that are not refused; fewer, if they are long."""
    counts: PreviewCounts
    reasons: list[PreviewReason]
    """Why rows are refused, the most frequent reason first."""
    refused: list[PreviewRefused]
    """The first twenty that are refused."""
    warnings: list[str]
    """Those that a job would have by then."""
    notes: list[str]
    """What to know of the preview itself."""
    estimate: PreviewEstimate
