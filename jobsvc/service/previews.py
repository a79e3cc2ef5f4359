"""Looking at the beginning of a file as a job would read it. Nothing is kept, and nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from threading import BoundedSemaphore, Event
from typing import Any, NoReturn

from jobsvc.jobs.errors import InvalidParameter, TooManyPreviews
from jobsvc.kinds.contract import BadParameter, BadUpload, JobContext, Kind, KindParams, KnownJobs
from jobsvc.kinds.preview.preview import Look, Preview, can_be_read_in_part
from jobsvc.kinds.preview.reading import NoPreview, Reading
from jobsvc.kinds.preview.sample import Sample
from jobsvc.runs.checkpoints.writer import MAX_ERROR_CHARACTERS
from jobsvc.runs.commonest import nothing_done, sort_of, too_many
from jobsvc.runs.hooks import contained
from jobsvc.service.new_job import prepared, stored, validated
from jobsvc.store.database import Database

ONE_ROW = 1
"""Rows of one batch, until the header says how many fields they have."""

AT_ONCE = 2
"""So many previews are made at the same time: each takes a processor while it lasts, as runs and requests do."""

MAY_WAIT = 4
"""So many more may wait for a moment: each has a thread that answers requests."""

WAIT_SECONDS = 1.0


@dataclass(frozen=True)
class Beginning:
    """The beginning of a file, as an upload would store it. Sizes are in bytes."""

    data: bytes
    whole: bool
    """Whether the file ends there."""
    sent: int
    """How much of the file was sent."""
    size: int | None
    """How large the file is, if that is known."""
    stored_size: int | None
    """About how large it is as it would be stored."""
    is_gzip: bool = False
    codec: str | None = None
    """The encoding that it had, if it was brought into UTF-8."""
    warnings: Sequence[str] = ()
    """What a job's owner would be told of the file."""


class Previews:
    """Safe to share among threads: two semaphores are all that they change.

    `_free` has as many places as previews may be made at once, `_admitted` also those of previews that wait.
    """

    def __init__(self, database: Database, now: Callable[[], datetime], *, max_row_bytes: int) -> None:
        self._database = database
        self._now = now
        self._max_row_bytes = max_row_bytes
        self._free = BoundedSemaphore(AT_ONCE)
        self._admitted = BoundedSemaphore(AT_ONCE + MAY_WAIT)

    def is_possible(self, kind: Kind) -> bool:
        """Whether files for jobs of this kind can be looked at."""
        return kind.takes_file and can_be_read_in_part(kind)

    def preview(self, kind: Kind, given: Mapping[str, Any], beginning: Beginning, jobs: KnownJobs) -> dict[str, Any]:
        """What a job of `kind` with these parameters would make of the file, as JSON has it.

        `jobs` are those that a parameter may name.

        What is wrong with the file is in the answer. Raises InvalidParameter for what is wrong with the request,
        TooManyPreviews.
        """
        if not kind.takes_file:
            raise InvalidParameter("kind", f"jobs of {kind.name} take no file, so there is nothing to preview")
        if not can_be_read_in_part(kind):
            raise _no_preview(kind)
        asked = validated(kind, given)
        with self._place():
            return self._made(kind, asked, beginning, jobs)

    @contextmanager
    def _place(self) -> Iterator[None]:
        """One of the places for previews that are made. Raises TooManyPreviews."""
        if not self._admitted.acquire(blocking=False):
            raise TooManyPreviews
        try:
            if not self._free.acquire(timeout=WAIT_SECONDS):
                raise TooManyPreviews
            try:
                yield
            finally:
                self._free.release()
        finally:
            self._admitted.release()

    def _made(self, kind: Kind, asked: KindParams, beginning: Beginning, jobs: KnownJobs) -> dict[str, Any]:
        sample = Sample(beginning.data, beginning.whole)
        fit: Any = None
        error: dict[str, Any] | None = None
        warnings: Sequence[str] = ()
        try:
            found = prepared(kind, asked, sample, jobs)
            fit, warnings = found.params, found.warnings
        except BadParameter as bad:
            error = _error("upload", str(bad), bad.name)
        except BadUpload as bad:
            error = _error("upload", str(bad))
        try:
            with contained(kind):
                preview = self._look(kind, sample, asked, fit)
        except NoPreview:
            raise _no_preview(kind) from None
        if preview.undecided:
            error = _error("sample", preview.error or "")
        elif error is None and preview.error is not None:
            error = _error("job", preview.error)
        return {
            "kind": kind.name,
            "error": error or _of_rows(preview, sample.whole, getattr(fit, "most_refused", None)),
            "params": None if fit is None else stored(fit),
            "file": _file(beginning),
            **_written(preview),
            **_rows(preview),
            "warnings": list(dict.fromkeys([*beginning.warnings, *warnings, *preview.warnings])),
            "notes": list(preview.notes),
            "estimate": _estimate(preview, beginning),
        }

    def _look(self, kind: Kind, sample: Sample, asked: Any, fit: Any) -> Preview:
        def context(params: Any) -> JobContext:
            return JobContext(
                key=0,
                id="preview",
                params=params,
                created_at=self._now(),
                cursor=None,
                columns=None,
                attempt=1,
                open_input=sample.file,
                open_output=_no_output,
                read=self._database.read,
                stopped=Event(),
                batch_items=lambda: ONE_ROW,
                max_row_bytes=self._max_row_bytes,
            )

        return Look(kind, sample, asked, fit, context, sort_of, MAX_ERROR_CHARACTERS).preview()


def _no_output(_mark: object) -> NoReturn:
    raise NoPreview


def _error(at: str, message: str, parameter: str | None = None) -> dict[str, Any]:
    return {"at": at, "message": message, "parameter": parameter}


def _no_preview(kind: Kind) -> InvalidParameter:
    return InvalidParameter("kind", f"jobs of {kind.name} read no CSV, and only the rows of a CSV can be told in part")


def _of_rows(preview: Preview, whole: bool, most_refused: int | None) -> dict[str, Any] | None:
    """Why a job would fail because of its rows."""
    reading = preview.reading
    if reading is None:
        return None
    if reading.too_many:
        return _error("job", too_many(reading.refused, most_refused))
    if whole and not reading.ended_early and reading.refused and not reading.done:
        return _error("job", nothing_done(reading.refused, reading.errors))
    return None


def _file(beginning: Beginning) -> dict[str, Any]:
    return {
        "format": "gzip" if beginning.is_gzip else "plain",
        "converted_from": beginning.codec,
        "sent_bytes": beginning.sent,
        "size_bytes": beginning.size,
        "read_bytes": len(beginning.data),
        "whole": beginning.whole,
    }


def _written(preview: Preview) -> dict[str, Any]:
    """How the file is written."""
    return {
        "encoding": asdict(preview.encoding),
        "line_ends": asdict(preview.line_ends),
        "delimiter": None if preview.delimiter is None else asdict(preview.delimiter),
        "quotes": asdict(preview.quotes),
        "header": None if preview.header is None else asdict(preview.header),
        "told": dict(preview.told or {}),
    }


def _rows(preview: Preview) -> dict[str, Any]:
    """The first rows, and how many there are in what was read."""
    reading = preview.reading or Reading()
    reasons = sorted(reading.reasons.values(), key=lambda reason: -reason.count)
    return {
        "rows": reading.rows,
        "counts": {"done": reading.done, "failed": reading.refused, "blank": reading.blank},
        "reasons": [asdict(reason) for reason in reasons],
        "refused": [asdict(row) for row in reading.refused_rows],
    }


def _estimate(preview: Preview, beginning: Beginning) -> dict[str, Any]:
    """How many rows the whole file has, blank ones not counted."""
    reading = preview.reading
    if reading is None:
        return {"rows": None, "exact": False}
    rows, covered = reading.done + reading.refused, reading.position - preview.rows_begin
    if beginning.whole and not reading.ended_early and not reading.too_many:
        return {"rows": rows, "exact": True}
    if beginning.stored_size is None or not covered:
        return {"rows": None, "exact": False}
    all_of_them = (beginning.stored_size - preview.rows_begin) * rows / covered
    return {"rows": max(rows, round(all_of_them)), "exact": False}
