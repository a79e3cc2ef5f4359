"""What a client knows of a job, and whether the job is still so."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from jobsvc.jobs.job import Job
from jobsvc.jobs.representation import job_json
from jobsvc.jobs.states import State
from jobsvc.jobs.version import is_version, only_moved


class Change(Enum):
    """How a job differs from what a client knows of it."""

    NONE = auto()
    PROGRESS = auto()
    """It has moved on. A run that is fast does that many times a second."""
    MORE = auto()


@dataclass(frozen=True)
class Unless:
    """A state, or a version."""

    known: str

    @classmethod
    def read(cls, text: str) -> Unless | None:
        """None: the text is neither."""
        return cls(text) if text in set(State) or is_version(text) else None

    def change(self, job: Job) -> Change:
        if not is_version(self.known):
            return Change.NONE if job.state == self.known else Change.MORE
        version: str = job_json(job)["version"]
        if version == self.known:
            return Change.NONE
        return Change.PROGRESS if only_moved(version, self.known) else Change.MORE
