"""What jobs made, for reading: records, teams, files."""

from __future__ import annotations

from typing import Any, BinaryIO, NamedTuple

from jobsvc.files.contract import Files, Result
from jobsvc.jobs.errors import FilesRemoved, JobError, NotAllowed, UnknownJob
from jobsvc.jobs.job import Job
from jobsvc.jobs.representation import record_json
from jobsvc.jobs.states import State
from jobsvc.store.database import Database
from jobsvc.store.queries import job_rows, record_rows, team_rows
from jobsvc.store.queries.record_fields import Header, headers


class NoResult(JobError):
    """There is no such file: the job's kind makes none, or takes none."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"job {job_id} has no such file")


class RecordPlace(NamedTuple):
    """Where a record stands among all."""

    job_key: int
    row: int


class RecordPage(NamedTuple):
    records: list[bytes]
    """Each as JSON text."""
    next: RecordPlace | None
    """The `after` of the next page; None if this is the last."""


class TeamPage(NamedTuple):
    teams: list[dict[str, Any]]
    next: int | None
    """The `after` of the next page; None if this is the last."""


class Results:
    """Reads what is committed; safe to share among threads."""

    def __init__(self, database: Database, files: Files) -> None:
        self._database = database
        self._files = files

    def records(
        self, *, limit: int, after: RecordPlace | None, job_id: str | None, owner: str | None = None
    ) -> RecordPage:
        """Records in the order of their places, from after the place `after`.

        As many as make up a page, one at least: a record repeats the names of its job's columns.
        With an `owner`, those that this user's jobs made.
        """
        if job_id is not None:
            self.check_made(job_id)
        with self._database.read() as connection:
            rows, more = record_rows.page(connection, limit=limit, after=after, job_id=job_id, owner=owner)
            made: list[bytes] = []
            produced = 0
            known: dict[int, Header] = {}
            for number, row in enumerate(rows):
                if produced > record_rows.PAGE_BYTES:
                    more = True
                    break
                if row.job_key not in known:
                    known = headers(connection, list(dict.fromkeys(later.job_key for later in rows[number:])))
                made.append(record_json(known[row.job_key], row))
                produced += len(made[-1])
        last = rows[len(made) - 1] if more else None
        return RecordPage(made, None if last is None else RecordPlace(last.job_key, last.row))

    def teams(self, *, limit: int, after: int | None, job_id: str | None, owner: str | None = None) -> TeamPage:
        """Teams in the order in which they were made, from after the id `after`.

        With an `owner`, those of this user.
        """
        if job_id is not None:
            self.check_made(job_id)
        with self._database.read() as connection:
            found, more = team_rows.page(connection, limit=limit, after=after, job_id=job_id, owner=owner)
        return TeamPage(found, found[-1]["id"] if more else None)

    def file(self, job: Job) -> Result:
        """The file that a job has made. Raises NotAllowed while it is unfinished, NoResult if there is none.

        Raises FilesRemoved if there may have been one once.
        """
        if job.state is not State.SUCCEEDED:
            raise NotAllowed(job.id, job.state, "downloaded yet" if job.state is not State.TERMINATED else "downloaded")
        if job.files_removed_at is not None:
            raise FilesRemoved(job.id, job.files_removed_at)
        result = self._files.result(job.id, job.attempt)
        if result is None:
            raise NoResult(job.id)
        return result

    def open(self, result: Result) -> BinaryIO:
        """For reading and seeking."""
        return self._files.open_result(result)

    def check_made(self, job_id: str) -> None:
        """Raise UnknownJob if there never was such a job. What a forgotten job has made is still there."""
        if not self.existed(job_id):
            raise UnknownJob(job_id)

    def existed(self, job_id: str, *, owner: str | None = None) -> bool:
        """Whether there ever was such a job, and of this `owner`. Kinds may ask (`kinds.contract.KnownJobs`)."""
        if not job_id.isprintable():
            return False
        with self._database.look() as connection:
            return job_rows.existed(connection, job_id, owner)
