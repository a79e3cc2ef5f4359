"""Applying a dry run: the real job of the same file, with the same parameters, and without a second upload.

The new job reads the file of the dry run: `Job.input_id` says so. Nothing is copied, so nothing of it can be half
done, or left behind: the one transaction that makes the job makes the file its own as well. The file stays until the
last job is through with it (`queries/forgetting.py`).

Whether it is still the file that was checked is told by its mark, for which nothing is read. Where the mark is another
one, which can be since the file was restored from a backup, its SHA-256 decides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic

from pydantic import ValidationError
from sqlalchemy import Connection

from jobsvc.files.contract import Files
from jobsvc.identifiers import Priority
from jobsvc.jobs.errors import CantApply, NotAllowed, UnknownJob
from jobsvc.jobs.job import Job
from jobsvc.jobs.states import FINISHED, State
from jobsvc.jobs.stored_file import StoredFile
from jobsvc.kinds.contract import Kind, KindParams
from jobsvc.runs.hooks import contained, job_params
from jobsvc.service.new_job import Idempotency, NewJob, stored
from jobsvc.store.queries import job_rows

MOST_TOLD = 20
"""So many of the jobs that were made of a dry run's file are told, the latest."""

READ_BYTES = 1024 * 1024

SECONDS = 3.0
"""For so long a file is read whose mark is another one."""

AGAIN = "upload the file again"


@dataclass(frozen=True)
class Wish:
    """What somebody asks for who applies a dry run."""

    user: str
    scope: str | None = None
    """The user whose records alone the new job may read; None: everybody's."""
    callback_url: str | None = None
    priority: Priority = Priority.NORMAL
    idempotency: Idempotency | None = None


class Applying:
    """Safe to share among threads, as its parts are."""

    def __init__(
        self,
        files: Files,
        kinds: Mapping[str, Kind],
        new_id: Callable[[str, str], str],
        submit: Callable[[NewJob, Callable[[Connection], None]], Job],
    ) -> None:
        """`new_id` and `submit` are those of `Submission`."""
        self._files = files
        self._kinds = kinds
        self._new_id, self._submit = new_id, submit

    def apply(self, dry_run: Job, wish: Wish) -> Job:
        """Queue the job that does what the dry run has checked, or return the one that the same request made before.

        Raises CantApply, NotAllowed, UnknownJob, FilesDown, and what `Submission.submit` does.
        """
        params = self._params(dry_run)
        # Outside of the transaction, since a store may take long to answer.
        fault = self._fault(dry_run) if _can_be_applied(dry_run) else None
        new = NewJob(
            id=self._new_id(wish.user, dry_run.kind),
            kind=dry_run.kind,
            user=wish.user,
            params=stored(params),
            warnings=dry_run.warnings,
            filename=dry_run.filename,
            callback_url=wish.callback_url,
            idempotency=wish.idempotency,
            scope=wish.scope,
            priority=wish.priority,
            file=dry_run.file,
            uploaded_at=dry_run.created_at,
            applied_from=dry_run.id,
        )

        def note_it(connection: Connection) -> None:
            now = Job.from_row(job_rows.by_key(connection, dry_run.key, lock=True))
            _check(now)
            if fault is not None:
                raise CantApply(now.id, fault)
            applied = {"applied_as": [*now.applied_as, new.id][-MOST_TOLD:]}
            job_rows.change(connection, now.key, attempt=now.attempt, state=now.state, values=applied)

        return self._submit(new, note_it)

    def _params(self, dry_run: Job) -> KindParams:
        """Those of the new job. Raises CantApply if the job is no dry run, or its kind is no longer as it was."""
        kind = self._kinds.get(dry_run.kind)
        if kind is None:
            raise CantApply(dry_run.id, f"there is no kind {dry_run.kind!r} any more")
        try:
            with contained(kind):
                if not kind.is_dry_run(dry_run.params):
                    raise CantApply(dry_run.id, "it is no dry run")
                params: KindParams = job_params(kind, dry_run.params)
        except ValidationError:
            why = f"{dry_run.kind} no longer takes the parameters with which it was checked; {AGAIN}"
            raise CantApply(dry_run.id, why) from None
        return params.applied()

    def _fault(self, dry_run: Job) -> str | None:
        """Why the file is not the one that was checked; None if it is. Raises FilesDown."""
        if not self._kinds[dry_run.kind].takes_file:
            return None
        known = dry_run.file
        if known is None:
            return f"its file came before the service remembered what is in files; {AGAIN}"
        mark = self._files.mark_of_input(dry_run.input_id)
        if mark is None:
            return f"its file is gone; {AGAIN}"
        if mark == known.mark:
            return None
        digest = self._digest(dry_run.input_id, known)
        if digest is None:
            return f"its file was changed, moved or restored, and is too large to be read in a moment; {AGAIN}"
        return None if digest == known.sha256 else f"its file is no longer the one that was checked; {AGAIN}"

    def _digest(self, input_id: str, known: StoredFile) -> str | None:
        """The SHA-256 of the file that there is now, as far as it matters; None if there is no time to read it."""
        until = monotonic() + SECONDS
        found, size = hashlib.sha256(), 0
        with self._files.open_input(input_id) as file:
            while data := file.read(READ_BYTES):
                found.update(data)
                size += len(data)
                if size > known.bytes:
                    break
                if monotonic() > until:
                    return None
        return found.hexdigest()


def _can_be_applied(job: Job) -> bool:
    return job.state is State.SUCCEEDED and job.files_removed_at is None


def _check(job: Job) -> None:
    """Raise what keeps a dry run from being applied, as it stands now."""
    if job.deleted_at is not None:
        raise UnknownJob(job.id)
    if job.state not in FINISHED:
        raise NotAllowed(job.id, job.state, "applied before it has finished")
    if job.state is State.FAILED:
        raise CantApply(job.id, f"the check has failed: {job.error}")
    if job.state is not State.SUCCEEDED:
        raise NotAllowed(job.id, job.state, "applied")
    if job.files_removed_at is not None:
        raise CantApply(job.id, f"its file was removed at {job.files_removed_at:%Y-%m-%dT%H:%M:%SZ}; {AGAIN}")
