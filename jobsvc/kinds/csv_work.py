"""What the kinds that read an uploaded CSV have in common."""

from __future__ import annotations

from jobsvc.kinds.contract import JobContext, JobFailed, Work
from jobsvc.kinds.csv_source import CsvSource


class CsvWork(Work):
    """A kind opened over the rows of its job's upload. Sizes and positions are in bytes."""

    def __init__(self, context: JobContext) -> None:
        try:
            self._file = context.input.open("rb", buffering=0)
        except FileNotFoundError:
            raise JobFailed("the uploaded file is gone") from None
        try:
            self.size = context.input.stat().st_size
            self.source = CsvSource(
                self._file,
                context.cursor,
                context.columns,
                encoding=context.params.get("encoding", "utf-8"),
                delimiter=context.params.get("delimiter", ","),
            )
        except BaseException:
            self._file.close()
            raise
        self.columns = self.source.columns

    def close(self) -> None:
        self._file.close()
