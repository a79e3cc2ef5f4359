"""Looking at jobs: one, a page of them, a job's history and its webhooks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, RowMapping

from jobsvc.identifiers import JobKey
from jobsvc.jobs.errors import UnknownJob
from jobsvc.jobs.job import Job
from jobsvc.jobs.states import State
from jobsvc.store.database import Database
from jobsvc.store.queries import event_rows, job_rows, log_rows, webhook_rows
from jobsvc.store.queries.listing import job_pages
from jobsvc.store.queries.sharing import turn_rows

PAGE_CHARACTERS = 1024 * 1024
"""About how much a page of jobs has at most."""

Listed = job_pages.Listed
"""Which jobs a list has."""

EVERYTHING = Listed()

MAX_LINES = 500
"""How much of a job's history is read at once."""


class JobPage(NamedTuple):
    jobs: list[Job]
    next: int | None
    """The `after` of the next page; None if this is the last."""


class LogPage(NamedTuple):
    lines: Sequence[RowMapping]
    after: int
    """The number of the line before the first one: if there is a gap, lines were dropped."""
    next: int | None


class Recent(NamedTuple):
    """The latest that is told of a job, the latest first."""

    events: Sequence[RowMapping]
    log: LogPage
    """The oldest first, as anywhere."""
    webhooks: Sequence[RowMapping]


class Standing(NamedTuple):
    """Where a job stands: as much of it as its engine needs to find its run."""

    key: JobKey
    attempt: int
    state: str
    id: str


def find(connection: Connection, job_id: str, *, lock: bool = False) -> Job:
    """A job that was not forgotten. Raises UnknownJob."""
    row = job_rows.by_id(connection, job_id, lock=lock) if _can_be(job_id) else None
    if row is None:
        raise UnknownJob(job_id)
    return Job.from_row(row)


def _can_be(job_id: str) -> bool:
    """Whether the database can be asked for it: a lone surrogate can't be sent."""
    return job_id.isprintable()


class Lookup:
    """Reads what is committed; safe to share among threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, job_id: str) -> Job:
        """Raises UnknownJob."""
        with self._database.look() as connection:
            return find(connection, job_id)

    def some(self, ids: Collection[str]) -> dict[str, Job]:
        """The jobs with these ids, as far as there are any, by their ids. Each id was found before."""
        with self._database.read() as connection:
            return {row["id"]: Job.from_row(row) for row in job_rows.by_ids(connection, ids)}

    def standing(self, job_id: str) -> Standing:
        """Raises UnknownJob."""
        with self._database.look() as connection:
            row = job_rows.standing(connection, job_id) if _can_be(job_id) else None
        if row is None:
            raise UnknownJob(job_id)
        return Standing(row["key"], row["attempt"], row["state"], job_id)

    def page(self, listed: Listed = EVERYTHING, *, limit: int, after: int | None = None) -> JobPage:
        """Jobs, newest first, from below the key `after`. A search for a text may find none, and have a next page."""
        with self._database.read() as connection:
            within = job_pages.span(connection, listed, None if after is None else JobKey(after))
            found = job_pages.page(connection, listed, within, limit + 1)
            jobs: list[Job] = []
            characters = 0
            with found as rows:
                for row in rows.mappings():
                    if len(jobs) == limit or characters > PAGE_CHARACTERS:
                        return JobPage(jobs, jobs[-1].key)
                    job = Job.from_row(row)
                    jobs.append(job)
                    characters += len(str(job.params)) + len(job.error or "") + len(job.filename or "")
        return JobPage(jobs, None if within.above is None else within.above + 1)

    def events(self, job_id: str, after: int = 0, limit: int = MAX_LINES) -> Sequence[RowMapping]:
        """A job's history after the event `after`, oldest first. Raises UnknownJob."""
        with self._database.read() as connection:
            return event_rows.of_job(connection, find(connection, job_id).key, after, limit)

    def log(self, job_id: str, after: int, limit: int) -> LogPage:
        """A job's log after the line `after`, oldest first. Raises UnknownJob."""
        with self._database.read() as connection:
            found = log_rows.of_job(connection, find(connection, job_id).key, after, limit + 1)
        return LogPage(found[:limit], after, found[limit - 1]["line"] if len(found) > limit else None)

    def webhooks(self, job_id: str, after: int = 0, limit: int = MAX_LINES) -> Sequence[RowMapping]:
        """What was or is to be sent to a job's callback URL, after the message `after`, oldest first.

        Raises UnknownJob.
        """
        with self._database.read() as connection:
            return webhook_rows.of_job(connection, find(connection, job_id).key, after, limit)

    def recent(self, job: Job, *, events: int, lines: int, webhooks: int) -> Recent:
        """The latest events, lines and webhooks of a job, up to so many of each."""
        with self._database.read() as connection:
            after = max(0, log_rows.last_line(connection, job.key) - lines)
            return Recent(
                event_rows.latest(connection, job.key, events),
                LogPage(log_rows.of_job(connection, job.key, after, lines), after, None),
                webhook_rows.latest(connection, job.key, webhooks),
            )

    def told(self, job: Job) -> tuple[object, ...]:
        """What is another one when there is something new among the lines and webhooks of a job."""
        with self._database.read() as connection:
            return log_rows.last_line(connection, job.key), *webhook_rows.states(connection, job.key)

    def ahead(self, job: Job, most: int) -> int:
        """How many queued jobs go before this one, which is queued; counted up to `most`."""
        with self._database.read() as connection:
            return turn_rows.count_ahead(connection, State.QUEUED, (job.priority, job.turn, job.key), most)
