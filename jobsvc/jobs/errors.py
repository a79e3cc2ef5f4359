"""The errors that a client can cause. `web/problems.py` turns them into answers."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from jobsvc.jobs.states import State


class JobError(Exception):
    """Base of the errors with which a request about jobs is refused."""


class UnknownJob(JobError):
    def __init__(self, job_id: str) -> None:
        super().__init__(f"there is no job {job_id!r}")
        self.job_id = job_id


class NotAllowed(JobError):
    """The job's state does not allow what was asked."""

    def __init__(self, job_id: str, state: State, action: str) -> None:
        super().__init__(f"job {job_id} is {state}: it can't be {action}")
        self.job_id, self.state, self.action = job_id, state, action


class FilesRemoved(JobError):
    """The job's files were removed on purpose: they are kept for a limited time after it has finished."""

    def __init__(self, job_id: str, at: datetime) -> None:
        super().__init__(
            f"the files of job {job_id} were removed at {at:%Y-%m-%dT%H:%M:%SZ}: "
            "they are kept for a limited time after a job has finished"
        )
        self.job_id = job_id


class QueueFull(JobError):
    """`JOBSVC_MAX_QUEUED` jobs are waiting already."""

    retry_after = 10
    """Seconds after which trying again is reasonable."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} jobs are waiting already; try again later")


class LimitReached(JobError):
    """A user has as much of something as each user may have."""

    setting: ClassVar[str]
    """Which sets how much that is."""

    def __init__(self, text: str, *, used: int, allowed: int, retry_after: int) -> None:
        """`retry_after`: seconds after which trying again is reasonable."""
        super().__init__(text)
        self.used, self.allowed, self.retry_after = used, allowed, retry_after


class TooManyQueued(LimitReached):
    setting = "JOBSVC_USER_MAX_QUEUED"

    def __init__(self, user: str, *, used: int, allowed: int) -> None:
        super().__init__(
            f"{user} has {used} jobs queued, and each user may have {allowed} ({self.setting}): "
            "try again when some have begun, or terminate those that nobody needs",
            used=used,
            allowed=allowed,
            retry_after=10,
        )


class TooMuchStored(LimitReached):
    setting = "JOBSVC_USER_MAX_STORED_BYTES"

    def __init__(self, user: str, *, used: int, more: int, allowed: int) -> None:
        super().__init__(
            f"the files of {user}'s jobs have {used} bytes, this one would add at least {more}, and each user may "
            f"have {allowed} ({self.setting}); nothing was stored: delete jobs that have finished "
            "(DELETE /jobs/<id>), which removes their files and keeps the records and teams that they made",
            used=used,
            allowed=allowed,
            retry_after=60,
        )


class TooManyUploads(LimitReached):
    setting = "JOBSVC_USER_MAX_UPLOADS"

    def __init__(self, user: str, *, allowed: int) -> None:
        super().__init__(
            f"{user} has {allowed} uploads under way, and each user may have {allowed} at once ({self.setting}): "
            "try again when one of them is over",
            used=allowed,
            allowed=allowed,
            retry_after=5,
        )


class TooManyRequests(LimitReached):
    setting = "JOBSVC_USER_MAX_REQUESTS"

    def __init__(self, user: str, *, allowed: int, retry_after: int) -> None:
        super().__init__(
            f"{user} sends more requests than {allowed} a second, and each user may send so many ({self.setting}); "
            f"nothing was done: try again in {retry_after} s",
            used=allowed,
            allowed=allowed,
            retry_after=retry_after,
        )


class TooManyPreviews(JobError):
    """As many previews as may be made at once are being made, and others wait."""

    retry_after = 3
    """Seconds after which trying again is reasonable."""

    def __init__(self) -> None:
        super().__init__("other previews are being made; try again later")


class InvalidParameter(JobError):
    """A parameter of a new job is not usable; says which, and what is allowed."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name, self.message = name, message


class CantRollBack(JobError):
    """The job's kind has no `undo`."""

    def __init__(self, job_id: str, kind: str) -> None:
        super().__init__(f"job {job_id} can't be rolled back: its kind {kind} has no undo")
        self.job_id = job_id


class CantApply(JobError):
    """The job can't be applied: it is no dry run, has not gone well, or its file is not there as it was checked."""

    def __init__(self, job_id: str, why: str) -> None:
        super().__init__(f"job {job_id} can't be applied: {why}")
        self.job_id = job_id


class KeyReused(JobError):
    """An idempotency key came with another request than the one it stands for."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"the idempotency key {key!r} was used for another request; send the same request again, or a new key"
        )
        self.key = key


class UnknownKind(JobError):
    def __init__(self, kind: str, known: list[str]) -> None:
        super().__init__(f"there is no kind {kind!r}; there are {', '.join(known)}")
        self.kind = kind


class UnknownAction(JobError):
    def __init__(self, action_id: str) -> None:
        super().__init__(f"there is no action {action_id!r}")
        self.action_id = action_id
