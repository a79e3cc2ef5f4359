"""What the kinds that read an uploaded CSV have in common."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, cast

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
    """A kind opened over the rows of its job's upload. Sizes and positions are in bytes.

    Before there is a job, it is opened for a preview too, over the first rows of a file: then only
    `batches` is called, and the hooks that tell of items.
    """

    def __init__(self, context: JobContext) -> None:
        self._csv = OpenCsv(context)
        self.source = self._csv.source
        self.size, self.columns, self.warnings = self._csv.size, self._csv.columns, self._csv.warnings

    def close(self) -> None:
        self._csv.close()

    def shown(self, item: Any) -> Mapping[str, Any] | None:
        """An item as it would be stored, for a preview: a JSON object. None: the fields of its row, by column."""
        return None

    def foreseen(self, items: Sequence[Any]) -> Sequence[tuple[int, str]]:
        """Which of these items `apply` would refuse, as far as reading tells, for a preview. It gets all, in order.

        Returns what `apply` does, and has no effect.
        """
        return ()

    def told(self, rows: Sequence[Sequence[str]]) -> Mapping[str, Any]:
        """What else a preview tells of this kind: a JSON object. `rows` are the fields of the first rows, also of
        refused ones."""
        return {}
