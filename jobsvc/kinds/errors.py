"""What a kind raises, and what the service makes of each."""

from __future__ import annotations


class JobFailed(Exception):
    """The job as a whole can't go on; the text is shown to its owner."""


class BadParameter(Exception):
    """A parameter of a job to be is not usable, seen beside the uploaded file; `name` says which."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class BadUpload(Exception):
    """The uploaded file is not usable at all; the text says why."""


class Refused(Exception):
    """This item is refused; the text says why. The job goes on.

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
    reason (`runs/checkpoint.py`), in the table `refused_rows`. `csv/left_over.py` writes it into the
    list of refused rows; characters that the file's encoding or dialect can't have are replaced there.
    """


class ItemAbandoned(Exception):
    """A long item noticed a stop and gave up; it has had no effect and will be done again."""
