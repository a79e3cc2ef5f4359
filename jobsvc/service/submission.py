"""Submitting a job: it is queued, once for each idempotency key."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Connection

from jobsvc.access.acts import Act
from jobsvc.deadlines import REQUEST_SECONDS, time_limit
from jobsvc.files import job_ids
from jobsvc.jobs.errors import KeyReused, QueueFull
from jobsvc.jobs.job import Job
from jobsvc.jobs.states import State
from jobsvc.jobs.stopping import Asking, Engine
from jobsvc.logs.about import request_id
from jobsvc.runs.sharing.turns import next_turn
from jobsvc.service.auditing.noting import note
from jobsvc.service.limits.quotas import Quotas
from jobsvc.service.new_job import NewJob, once_for_each_key
from jobsvc.store import clock
from jobsvc.store.again import again_on_conflict
from jobsvc.store.database import Database
from jobsvc.store.queries import event_rows, idempotency_rows, job_rows


class Submission:
    """Safe to share among threads: whatever it decides by, it reads and changes in one transaction."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        now: Callable[[], datetime],
        *,
        max_queued: int,
        quotas: Quotas,
        idempotency_hours: float,
    ) -> None:
        self._database = database
        self._engine = engine
        self._now = now
        self._max_queued = max_queued
        self._quotas = quotas
        self._remembered = timedelta(hours=idempotency_hours)

    def new_id(self, user: str, kind: str) -> str:
        """An id for a job to be. The unique column `jobs.id` holds it to its promise."""
        return job_ids.make(user, kind, self._now())

    def submit(self, new: NewJob, beside: Callable[[Connection], None] = lambda _: None) -> Job:
        """Queue a new job, or return the one that the same request made before.

        `beside` is called in the transaction that makes a new one: what it raises keeps that from being made.

        Raises QueueFull, TooManyQueued, TooMuchStored, and KeyReused for an idempotency key that stood for
        another request.
        """
        # However long the upload has taken.
        with time_limit(REQUEST_SECONDS):
            return once_for_each_key(new.idempotency, lambda: self._submit(new, beside))

    def _submit(self, new: NewJob, beside: Callable[[Connection], None]) -> Job:
        with self._engine.asking() as asking:
            return self._found_or_made(asking, new, beside)

    @again_on_conflict
    def _found_or_made(self, asking: Asking, new: NewJob, beside: Callable[[Connection], None]) -> Job:
        # What a full disk has in reserve is not for new work.
        with self._database.write(urgent=True, reserve=False) as connection:
            job = self._made_before(connection, new)
            if job is not None:
                note(connection, Act.SUBMIT, job.id, by=new.user, at=self._now(), already=True)
                return job
            beside(connection)
            # A dry run's file, which an applied job reads, is there already.
            adds = 0 if new.applied_from is not None else max(1, new.upload_bytes)
            self._quotas.check(connection, new.user, adds)
            # On PostgreSQL others may be submitting too: the limit may be passed by as many.
            if job_rows.count_in_state(connection, State.QUEUED) >= self._max_queued:
                raise QueueFull(self._max_queued)
            return self._insert(connection, asking, new)

    def _made_before(self, connection: Connection, new: NewJob) -> Job | None:
        if new.idempotency is None:
            return None
        since = clock.read(connection, self._now) - self._remembered
        idempotency_rows.forget_before(connection, new.user, new.idempotency.key, since)
        found = idempotency_rows.find(connection, new.user, new.idempotency.key)
        if found is None:
            return None
        if found["fingerprint"] != new.idempotency.fingerprint:
            raise KeyReused(new.idempotency.key)
        return Job.from_row(job_rows.by_key(connection, found["job_key"]))

    def _insert(self, connection: Connection, asking: Asking, new: NewJob) -> Job:
        now = self._now()
        values = {
            "id": new.id,
            "kind": new.kind,
            "user": new.user,
            "scope": new.scope,
            "params": dict(new.params),
            "warnings": list(new.warnings),
            "filename": new.filename,
            "callback_url": new.callback_url,
            "priority": new.priority,
            "upload_bytes": new.upload_bytes,
            "file": None if new.file is None else new.file.as_json(),
            "uploaded_at": new.uploaded_at,
            "applied_from": new.applied_from,
            "turn": next_turn(connection, new.user, new.priority),
            "request_id": request_id(),
            "state": State.QUEUED,
            "created_at": now,
            "queued_at": now,
        }
        key = job_rows.add(connection, values)
        why = "the job was submitted" if new.applied_from is None else f"the dry run {new.applied_from} was applied"
        event_rows.add(connection, key, at=now, before=None, after=State.QUEUED, who=new.user, why=why)
        if new.idempotency is not None:
            idempotency_rows.remember(
                connection,
                new.user,
                new.idempotency.key,
                new.idempotency.fingerprint,
                job_key=key,
                at=clock.read(connection, self._now),
            )
        note(connection, Act.SUBMIT, new.id, by=new.user, at=now)
        job = Job.from_row(job_rows.by_key(connection, key))
        asking.queue(connection, job)
        return job
