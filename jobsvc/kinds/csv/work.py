"""What the kinds that read an uploaded CSV have in common."""

from __future__ import annotations

import os
from typing import cast

from jobsvc.kinds.context import JobContext
from jobsvc.kinds.csv.batches import CsvCursor
from jobsvc.kinds.csv.params import UploadParams
from jobsvc.kinds.csv.source import CsvSource
from jobsvc.kinds.errors import JobFailed
from jobsvc.kinds.work import Work


class OpenCsv:
    """A job's upload, opened at its cursor. `size` is in bytes."""

    def __init__(self, context: JobContext) -> None:
        params = context.params
        assert isinstance(params, UploadParams), "a kind that takes a file has UploadParams"
        try:
            self._file = context.open_input()
        except FileNotFoundError:
            raise JobFailed("the uploaded file is gone") from None
        try:
            self.size = self._file.seek(0, os.SEEK_END)
            cursor = cast("CsvCursor | None", context.cursor)
            self.source = CsvSource(self._file, cursor, context.columns, params.form(context.max_row_bytes))
        except BaseException:
            self._file.close()
            raise
        self.columns, self.warnings = self.source.columns, self.source.warnings

    def close(self) -> None:
        self._file.close()


class CsvWork(Work):
    """A kind opened over the rows of its job's upload. Sizes and positions are in bytes."""

    def __init__(self, context: JobContext) -> None:
        self._csv = OpenCsv(context)
        self.source = self._csv.source
        self.size, self.columns, self.warnings = self._csv.size, self._csv.columns, self._csv.warnings

    def close(self) -> None:
        self._csv.close()
