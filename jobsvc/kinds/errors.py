"""What a kind raises, and what the service makes of each."""

from __future__ import annotations

from typing import Self


class JobFailed(Exception):
    """The job as a whole can't go on; the text is shown to its owner."""


class BadParameter(Exception):
    """A parameter of a job to be is not usable, seen beside the uploaded file; `name` says which."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class BadUpload(Exception):
    """The uploaded file is not usable at all; the text says why."""


class Reason(str):
    """Why an item is refused, as its owner reads it: a text like any other, that also knows which ones are alike.

    A job's report counts refused items by `group` and `column`. A part of the text (`reason[:500]`) is a plain
    string.
    """

    __slots__ = ("column", "group")

    def __new__(cls, text: str, *, group: str | None = None, column: str | None = None) -> Self:
        reason = super().__new__(cls, text)
        reason.group = group
        reason.column = column
        return reason

    group: str | None
    """What all reasons alike say, without the values of one row; None: the text, without what it has in quotes and
    without numbers."""
    column: str | None
    """The column that is not as it should be, if it is one alone."""


class Refused(Exception):
    """This item is refused; the text says why. The job goes on.

    A job's report counts refused items by their reasons. Reasons are alike whose texts differ only in numbers and in
    what stands in quotes. Where more differs, `group` says what all have in common; `column` names the column that is
    not as it should be.

    It may be raised where rows are made into items (`RowParser` in `csv/source.py`), and in
    `RowKind.process`. `Work.process` is no such place: there any exception fails the job.

    The reason of a refused item is made in one of these places:

    * `csv/rows.py`: quote marks, bytes that don't decode, a NUL, a row that is too long (in the
      words of `csv/format.py`).
    * `csv/source.py`: the number of fields, a line that is too long to be held.
    * `builtin/baseline_csv.py` and `csv/dates.py`: dates. `builtin/bulk_team.py`: names of teams.
    * A kind of another author: `Refused` in `RowKind.process` (`item_work.py` catches it).
    * `Work.apply`, for items that are refused only at the checkpoint: it returns a `RefusedLate` for
      each, as `bulkTeam` does for names that exist.

    All of them become a `Refusal` (`batch.py`). The checkpoint keeps the first 500 characters of a
    reason (`runs/checkpoints/writer.py`), in the table `refused_rows`. `csv/left_over.py` writes it into the
    list of refused rows; characters that the file's encoding or dialect can't have are replaced there.
    Where values of a row are in the text in another way than in quotes or as numbers, it is a `Reason` with a group.
    """

    def __init__(self, *text: object, group: str | None = None, column: str | None = None) -> None:
        super().__init__(*text)
        self.group = group
        self.column = column

    @property
    def reason(self) -> Reason:
        return Reason(str(self), group=self.group, column=self.column)


class ItemAbandoned(Exception):
    """A long item noticed a stop and gave up; it has had no effect and will be done again."""
