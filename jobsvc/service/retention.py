"""Forgetting: jobs that a client deletes, and jobs, files and idempotency keys whose time is over.

A forgotten job leaves a tombstone: its row with its id and columns, which its
records and teams need, and nothing else. See docs/decisions/0015.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from sqlalchemy import Connection, RowMapping

from jobsvc.access import session_text
from jobsvc.access.acts import Act
from jobsvc.files.contract import Files
from jobsvc.identifiers import JobKey
from jobsvc.jobs.errors import NotAllowed, UnknownJob
from jobsvc.jobs.job import Job
from jobsvc.jobs.states import FINISHED, HELD
from jobsvc.service.auditing.noting import note
from jobsvc.settings import Settings
from jobsvc.store.again import again_on_conflict
from jobsvc.store.database import Database
from jobsvc.store.queries import action_rows, forgetting, job_rows
from jobsvc.store.queries.callers import audit_rows, session_rows
from jobsvc.store.queries.sampling import throughput_rows

log = logging.getLogger(__name__)

JOBS_AT_A_TIME = 100
"""How many jobs are forgotten in one transaction; running jobs go on between two of them."""

ROWS_AT_A_TIME = 5000
"""How many rows that a forgotten job has left are removed in one transaction."""


@dataclass(frozen=True)
class RetentionPolicy:
    """For how long what is kept; None stands for ever.

    `finished` and `files` count from when a job finished, also from when it
    failed: a failed job can be resumed until then. `keys` counts from the first
    use of an idempotency key, `audit` from what a line tells of.
    """

    finished: timedelta | None
    files: timedelta | None
    keys: timedelta
    audit: timedelta | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The terms that the settings set; 0 days there mean for ever."""
        return cls(
            finished=timedelta(days=settings.keep_finished_days) if settings.keep_finished_days else None,
            files=timedelta(days=settings.keep_files_days) if settings.keep_files_days else None,
            keys=timedelta(hours=settings.idempotency_hours),
            audit=timedelta(days=settings.keep_audit_days) if settings.keep_audit_days else None,
        )


@dataclass
class Swept:
    """What a sweep did, or would do."""

    jobs: int = 0
    """Jobs that were forgotten, their files included."""
    files: int = 0
    """Jobs that stay, but whose files were removed."""
    keys: int = 0
    """Idempotency keys that were forgotten."""
    lines: int = 0
    """Lines of the audit that were removed."""


def _owners(rows: Collection[RowMapping]) -> set[str]:
    """The ids of the jobs whose inputs these jobs have."""
    return {row["applied_from"] or row["id"] for row in rows}


def never() -> bool:
    return False


class Retention:
    """Safe to share among threads, and to use beside a running service: every transaction is short.

    Files go after the transaction that says so. What a crash in between leaves
    is removed at the next start, since its row says so.
    """

    def __init__(
        self, database: Database, files: Files, policy: RetentionPolicy, now: Callable[[Connection], datetime]
    ) -> None:
        """`now` is the time that all processes agree on: a clock that runs fast must not forget anybody's jobs."""
        self._database = database
        self._files = files
        self._policy = policy
        self._now = now

    def forget(self, job: Job, who: str) -> None:
        """Forget a finished job and its files; its records and teams stay. Raises UnknownJob, NotAllowed.

        Rows that only it needed, of which there can be millions, are hidden at
        once and removed by the next `remove_rows`.
        """
        self._remove_files_of([job.id], self._forgotten(job, who))
        log.info("%s deleted job %s", who, job.id, extra={"job": job.id})

    @again_on_conflict
    def _forgotten(self, job: Job, who: str) -> Collection[str]:
        """Returns the ids of the jobs whose inputs no job needs any more."""
        with self._database.write(urgent=True) as connection:
            current = Job.from_row(job_rows.by_key(connection, job.key, lock=True))
            if current.deleted_at is not None:
                raise UnknownJob(job.id)
            if current.state not in FINISHED:
                raise NotAllowed(job.id, current.state, "deleted before it has finished")
            forgetting.mark_forgotten(connection, [job.key], self._tombstone(connection))
            note(connection, Act.DELETE, job.id, by=who, at=self._now(connection))
            return forgetting.release_inputs(connection, {current.input_id})

    def sweep(self, stopped: Callable[[], bool] = never) -> Swept:
        """Forget whatever is past its time, in small batches; leaves between two of them once it is `stopped`."""
        swept = Swept()
        for count in self._forget_jobs(stopped):
            swept.jobs += count
        for count in self._remove_files(stopped):
            swept.files += count
        for count in self._forget_keys(stopped):
            swept.keys += count
        for count in self._forget_lines(stopped):
            swept.lines += count
        self._forget_actions(stopped)
        self._forget_sessions(stopped)
        self._forget_throughput(stopped)
        self.remove_rows(stopped)
        if swept != Swept():
            what = "forgot %d jobs, the files of %d more, %d idempotency keys, %d lines of the audit"
            log.info(what, swept.jobs, swept.files, swept.keys, swept.lines)
        return swept

    def preview(self) -> Swept:
        """What a sweep would do now."""
        swept = Swept()
        with self._database.read() as connection:
            now = self._now(connection)
            if self._policy.finished is not None:
                swept.jobs = forgetting.count_finished_before(connection, now - self._policy.finished, FINISHED)
            swept.keys = forgetting.count_keys_before(connection, now - self._policy.keys)
            if self._policy.audit is not None:
                swept.lines = audit_rows.count_before(connection, now - self._policy.audit)
        swept.files = sum(map(len, self._with_files(never)))
        return swept

    def remove_rows(self, stopped: Callable[[], bool] = never) -> None:
        """Remove the rows that forgotten jobs have left: refused rows, logs, events."""
        after = 0
        while not stopped():
            with self._database.read() as connection:
                keys = forgetting.buried_with_rows(connection, after, JOBS_AT_A_TIME)
            if not keys:
                return
            for key in keys:
                self._remove_rows_of(key, stopped)
            after = keys[-1]

    def _remove_rows_of(self, key: JobKey, stopped: Callable[[], bool]) -> None:
        while not stopped():
            with self._database.write() as connection:
                if forgetting.remove_rows(connection, key, ROWS_AT_A_TIME) < ROWS_AT_A_TIME:
                    return

    def _tombstone(self, connection: Connection) -> Mapping[str, Any]:
        """All that is known of the job but its id, columns, kind, user, state and counters is cleared.

        Without a `finished_at` it is not met any more where finished jobs are looked for.
        """
        cleared = (
            "finished_at",
            "error",
            "filename",
            "callback_url",
            "cursor",
            "rollback_total",
            "request_id",
            "searched",
            *("file", "uploaded_at", "applied_from"),
        )
        now = self._now(connection)
        return {"deleted_at": now, "files_removed_at": now, "params": {}, "applied_as": []} | dict.fromkeys(cleared)

    def _forget_jobs(self, stopped: Callable[[], bool]) -> Iterator[int]:
        if self._policy.finished is None:
            return
        while not stopped():
            found, unused = self._forgotten_some(self._policy.finished)
            self._remove_files_of([row["id"] for row in found], unused)
            yield len(found)
            if len(found) < JOBS_AT_A_TIME:
                return

    def _remove_files(self, stopped: Callable[[], bool]) -> Iterator[int]:
        for keys in self._with_files(stopped):
            assert self._policy.files is not None, "otherwise there is none"
            noted, unused = self._without_files(keys, self._policy.files)
            self._remove_files_of([row["id"] for row in noted], unused)
            yield len(noted)

    @again_on_conflict
    def _forgotten_some(self, kept: timedelta) -> tuple[Sequence[RowMapping], Collection[str]]:
        """Forget some jobs that finished longer ago. Returns them, and what `_forgotten` returns."""
        with self._database.write() as connection:
            before = self._now(connection) - kept
            found = forgetting.finished_before(connection, before, FINISHED, JOBS_AT_A_TIME)
            if found:
                forgetting.mark_forgotten(connection, [row["key"] for row in found], self._tombstone(connection))
            return found, forgetting.release_inputs(connection, _owners(found))

    @again_on_conflict
    def _without_files(self, keys: Collection[JobKey], kept: timedelta) -> tuple[Sequence[RowMapping], Collection[str]]:
        """The same for the files of those of the jobs that finished longer ago."""
        with self._database.write() as connection:
            now = self._now(connection)
            noted = forgetting.note_files_removed(connection, keys, at=now, before=now - kept, states=FINISHED)
            return noted, forgetting.release_inputs(connection, _owners(noted))

    def _with_files(self, stopped: Callable[[], bool]) -> Iterator[Sequence[JobKey]]:
        """The keys, some at a time, of jobs that stay but whose files' time is over, if they have any."""
        if self._policy.files is None:
            return
        after = None
        while not stopped():
            with self._database.read() as connection:
                now = self._now(connection)
                since = None if self._policy.finished is None else now - self._policy.finished
                found = forgetting.may_have_files(
                    connection,
                    after,
                    since=since,
                    before=now - self._policy.files,
                    states=FINISHED,
                    limit=JOBS_AT_A_TIME,
                )
            keys = [row["key"] for row in found if self._has_files(row)]
            if keys:
                yield keys
            if len(found) < JOBS_AT_A_TIME:
                return
            after = (found[-1]["finished_at"], found[-1]["key"])

    def _has_files(self, row: RowMapping) -> bool:
        """Whether there is any file of a job, or the one of the dry run that was applied as it."""
        ids = (row["id"], row["applied_from"])
        return any(self._files.any_of(job_id) for job_id in ids if job_id is not None)

    def _remove_files_of(self, ids: Collection[str], unused: Collection[str]) -> None:
        """What these jobs have made, and the inputs that no job needs any more."""
        for job_id in ids:
            self._files.remove_output(job_id)
        for job_id in unused:
            self._files.remove_input(job_id)

    def _forget_actions(self, stopped: Callable[[], bool]) -> None:
        """Forget actions on many jobs as jobs are, but none by which a job can still be found that waits paused."""
        while self._policy.finished is not None and not stopped():
            with self._database.write() as connection:
                before = self._now(connection) - self._policy.finished
                if action_rows.remove_finished_before(connection, before, HELD, JOBS_AT_A_TIME) < JOBS_AT_A_TIME:
                    return

    def _forget_keys(self, stopped: Callable[[], bool]) -> Iterator[int]:
        while not stopped():
            with self._database.write() as connection:
                before = self._now(connection) - self._policy.keys
                count = forgetting.remove_keys_before(connection, before, ROWS_AT_A_TIME)
            yield count
            if count < ROWS_AT_A_TIME:
                return

    def _forget_lines(self, stopped: Callable[[], bool]) -> Iterator[int]:
        while self._policy.audit is not None and not stopped():
            with self._database.write() as connection:
                before = self._now(connection) - self._policy.audit
                count = audit_rows.remove_before(connection, before, ROWS_AT_A_TIME)
            yield count
            if count < ROWS_AT_A_TIME:
                return

    def _forget_throughput(self, stopped: Callable[[], bool]) -> None:
        while not stopped():
            with self._database.write() as connection:
                before = self._now(connection).timestamp() - throughput_rows.KEPT_SECONDS
                bucket = int(before // throughput_rows.BUCKET_SECONDS)
                if throughput_rows.remove_before(connection, bucket, ROWS_AT_A_TIME) < ROWS_AT_A_TIME:
                    return

    def _forget_sessions(self, stopped: Callable[[], bool]) -> None:
        """Forget logins of browsers that have ended by themselves."""
        while not stopped():
            with self._database.write() as connection:
                now = self._now(connection)
                count = session_rows.remove_ended(connection, now, now - session_text.IDLE, ROWS_AT_A_TIME)
            if count < ROWS_AT_A_TIME:
                return
