"""What a job's report looks like, as models: the contract has its JSON schema."""

from __future__ import annotations

from jobsvc.jobs.states import State
from jobsvc.web.openapi.shapes import Shape


class RefusedRow(Shape):
    """A row that was refused."""

    line: int | None
    """Of the file, the line that it starts on; the header is line 1."""
    row: int
    """Its number among the rows of the file, from 1."""
    error: str
    text: str | None
    """The row as it was sent, up to 1,000 characters; null where the file is gone, or too slow to be read."""


class ReportReason(Shape):
    """A reason for which rows were refused, without the values of single rows."""

    reason: str
    column: str | None
    """The column that is not as it should be, if it is one alone."""
    count: int
    samples: list[RefusedRow]
    """The first rows that were refused for it, up to five."""


class Report(Shape):
    """What a job has found in its file so far. Of a dry run: what its real job would do."""

    job: str
    state: State
    complete: bool
    """Whether every row was looked at, and nothing is to come."""
    done: int
    failed: int
    blank: int
    """Lines with nothing in them, which are no rows."""
    total: int
    """Rows that were looked at: those that were done, also if they were rolled back since, and those refused."""
    reasons: list[ReportReason]
    """Why rows were refused, the most frequent reason first. Their counts add up to `failed`."""
    refused: list[RefusedRow]
    """The first rows that were refused, as many as were asked for."""
