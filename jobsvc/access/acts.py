"""What the audit calls that which callers do. The names are for good: people search for them years later."""

from __future__ import annotations

from enum import StrEnum


class Act(StrEnum):
    """What somebody did, or was to do."""

    SUBMIT = "job.create"
    PAUSE = "job.pause"
    RESUME = "job.resume"
    TERMINATE = "job.terminate"
    ROLL_BACK = "job.rollback"
    """Also with a terminate."""
    DELETE = "job.delete"
    STEER = "job.steer"
    """By the original's route, without saying which of those."""
    ASK_MANY = "action.create"
    PREVIEW_MANY = "action.preview"
    PREVIEW_FILE = "file.preview"
    DOWNLOAD_RESULT = "result.download"
    DOWNLOAD_FAILED = "failed.download"
    DOWNLOAD_UNPROCESSED = "unprocessed.download"
    CREATE_KEY = "key.create"
    REVOKE_KEY = "key.revoke"
    LIST_KEYS = "key.list"
    READ_AUDIT = "audit.read"
    LOG_IN = "login"
    """With a browser."""
    LOG_OUT = "logout"
    LOSE_LINES = "audit.lost"
    """By the service: so many lines could not be written."""
    ENTER = "enter"
    """Without a key, or with one that is not good, or from where nobody is let in."""
    LOOK = "look"
    """At what is not for them."""
    OVERSEE = "oversee"
    """The same, of the service itself."""


class Outcome(StrEnum):
    DONE = "done"
    ALREADY = "already"
    """It was so before."""
    REFUSED = "refused"
    FAILED = "failed"
    """The service could not do it, and the answer says so."""
