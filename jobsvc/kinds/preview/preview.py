"""What a preview says: how a file would be read, its first rows as they would be stored, and what would be refused."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any

from jobsvc.kinds.context import JobContext
from jobsvc.kinds.contract import Kind
from jobsvc.kinds.csv.encodings import UTF_8
from jobsvc.kinds.csv.format import CsvFormat
from jobsvc.kinds.csv.header import EXPORTED_COLUMNS, NO_HEADER, REFUSED_COLUMNS, opened, read_header, read_opening
from jobsvc.kinds.csv.params import AUTO, UploadParams
from jobsvc.kinds.csv.rows import OPEN_AT_END
from jobsvc.kinds.csv.upload_check import settled
from jobsvc.kinds.csv.work import CsvWork
from jobsvc.kinds.errors import BadUpload, JobFailed
from jobsvc.kinds.preview.dialect import Delimiter, LineEnds, QuoteMarks, is_for_quotes, quote_marks
from jobsvc.kinds.preview.encodings import SuggestedEncoding, suggested_encodings
from jobsvc.kinds.preview.plain import Pace, PlainRows, by_column, fields_of
from jobsvc.kinds.preview.reading import NoPreview, Reader, Reading
from jobsvc.kinds.preview.sample import Sample
from jobsvc.kinds.row_kind import RowKind

SECONDS = 3.0
"""How long a preview takes in all, but for what it has begun by then: no single step takes long."""

ROWS_TOLD = 200
"""So many rows a kind may look at, to tell what else would be read."""


@dataclass(frozen=True)
class Encoding:
    name: str
    marked: bool
    """Whether a byte order mark says so."""
    suggestions: Sequence[SuggestedEncoding]
    """Others, where the file is no text in this one."""


@dataclass(frozen=True)
class HeaderRow:
    columns: Sequence[str]
    """As they would be called."""
    left_out: Sequence[str]
    """The columns before them that the service itself has put there."""


@dataclass(frozen=True)
class Preview:
    """What is known of a file, as far as it can be read. `error` is why it, or its job, would fail as a whole."""

    encoding: Encoding
    line_ends: LineEnds
    quotes: QuoteMarks
    delimiter: Delimiter | None = None
    header: HeaderRow | None = None
    told: Mapping[str, Any] | None = None
    """What the kind tells."""
    reading: Reading | None = None
    warnings: Sequence[str] = ()
    notes: Sequence[str] = ()
    """What to know of the preview itself."""
    error: str | None = None
    undecided: bool = False
    """Whether the part that was sent ends before the header does."""
    rows_begin: int = 0
    """The offset after the header, in bytes."""


def can_be_read_in_part(kind: Kind) -> bool:
    """Whether its jobs read a CSV."""
    return kind.takes_file and issubclass(kind.Params, UploadParams)


@dataclass(frozen=True)
class Look:
    """A look at a sample, as a job of `kind` would read it."""

    kind: Kind
    sample: Sample
    asked: UploadParams
    """The parameters that the client has given."""
    prepared: UploadParams | None
    """What `Kind.prepare` has made of them; None if it refused them, or the file."""
    context: Callable[[UploadParams], JobContext]
    """What such a job would be given."""
    alike: Callable[[str], Hashable]
    """Makes reasons equal that say the same of different rows."""
    error_characters: int
    """How much of a reason is kept."""
    notes: list[str] = field(default_factory=list)
    until: float = field(default_factory=lambda: monotonic() + SECONDS)
    """When to end, on the monotonic clock."""

    def preview(self) -> Preview:
        """Raises NoPreview."""
        sample = self.sample
        opening = read_opening(sample.file())
        params = self.prepared or self.asked
        if self.prepared is None:
            try:
                params = settled(self.asked, sample).params
            except BadUpload as error:
                return self._without_header(params, str(error))
        context = self.context(params)
        params = context.params
        form = opened(params.form(context.max_row_bytes), opening)
        encoding = Encoding(form.encoding, opening.marked, suggested_encodings(sample.lines, form.encoding))
        base = Preview(encoding, LineEnds.of(sample.lines), quote_marks(sample, form, 0, self.until))
        if not sample.tells_delimiter and self._is_detected(params) and opening.separator is None:
            self.notes.append(
                "the delimiter was detected from a small part of the file; a job looks at more of it: send more"
            )
        delimiter = Delimiter.of(form.delimiter, self._source_of(params, opening.separator))
        try:
            header = read_header(sample.file(), form)
        except JobFailed as error:
            return replace(self._failed(base, str(error), form), delimiter=delimiter)
        left_out = {len(names): names for names in (REFUSED_COLUMNS, EXPORTED_COLUMNS)}.get(header.start["extra"], ())
        base = replace(
            base,
            delimiter=delimiter,
            header=HeaderRow(header.columns, left_out),
            rows_begin=header.start["offset"],
            warnings=header.warnings,
        )
        context = replace(context, batch_items=Pace(header.columns))
        return self._read(base, context, form)

    def _read(self, base: Preview, context: JobContext, form: CsvFormat) -> Preview:
        error = None
        try:
            work = self._open(context)
        except JobFailed as failure:
            # The rows are shown all the same: they may tell what is wrong.
            error, work = str(failure), PlainRows(context)
        with work:
            reading = self._reader(work, context, form).read(self.until)
            self._fill_in(reading, form, work.source.columns)
            first = fields_of(self.sample, form, ROWS_TOLD, self.until)
            told = work.told(list(first.values()))
            warnings = list(work.warnings)
        if reading.ended_early:
            self.notes.append("its rows take long to read: the preview ends before the part that was sent does")
        return replace(
            base,
            quotes=quote_marks(self.sample, form, reading.for_quotes, self.until, reading.first_for_quotes),
            told=told,
            reading=reading,
            warnings=warnings,
            notes=self.notes,
            error=error,
        )

    def _open(self, context: JobContext) -> CsvWork:
        """The work of a job; of a kind whose work would have effects, the rows that it would get. Raises JobFailed."""
        if self.prepared is None:
            return PlainRows(context)
        if isinstance(self.kind, RowKind) and type(self.kind).open is RowKind.open:
            self.notes.append(f"which rows {self.kind.name} itself refuses is found by a job; try one with dry_run")
            return PlainRows(context)
        work = self.kind.open(context)
        if not isinstance(work, CsvWork):
            work.close()
            raise NoPreview
        return work

    def _reader(self, work: CsvWork, context: JobContext, form: CsvFormat) -> Reader:
        return Reader(
            work,
            self.sample,
            form.encoding,
            self.alike,
            most_refused=context.params.most_refused,
            error_characters=self.error_characters,
        )

    def _fill_in(self, reading: Reading, form: CsvFormat, columns: Sequence[str]) -> None:
        """Show the fields of rows of which the kind shows nothing else."""
        if any(set(row) == {"row"} for row in reading.rows):
            found = fields_of(self.sample, form, reading.rows[-1]["row"], self.until)
            reading.rows = [
                {"row": row["row"], "data": by_column(columns, found.get(row["row"], ()))} for row in reading.rows
            ]

    def _without_header(self, params: UploadParams, error: str) -> Preview:
        opening = read_opening(self.sample.file())
        encoding = UTF_8 if opening.marked else params.encoding
        base = Preview(
            Encoding(encoding, opening.marked, suggested_encodings(self.sample.lines, encoding)),
            LineEnds.of(self.sample.lines),
            quote_marks(self.sample, params.form(1), 0, self.until),
        )
        return self._failed(base, error, opened(params.form(1), opening))

    def _failed(self, base: Preview, error: str, form: CsvFormat) -> Preview:
        """The header can't be read, or is not there yet."""
        cut = not self.sample.whole and error.endswith((OPEN_AT_END, NO_HEADER))
        if cut:
            error = "the part of the file that was sent ends before its header does: send more of it"
        quotes = base.quotes
        if is_for_quotes(error):
            form = replace(form, max_row_bytes=len(self.sample.lines) + 1)
            quotes = quote_marks(self.sample, form, 1, self.until)
        return replace(base, error=error, undecided=cut, quotes=quotes, notes=self.notes)

    def _is_detected(self, params: UploadParams) -> bool:
        return self.asked.delimiter == AUTO and params.delimiter != AUTO

    def _source_of(self, params: UploadParams, separator: str | None) -> str:
        if separator is not None:
            return "file"
        if self._is_detected(params):
            return "detected"
        return "default" if self.asked.delimiter == AUTO else "parameter"
