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
    """This item is refused; the text says why. The job goes on."""


class ItemAbandoned(Exception):
    """A long item noticed a stop and gave up; it has had no effect and will be done again."""
