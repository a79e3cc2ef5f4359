"""A plain interpreter with a job that ends its process, and three beside it that are at fault for nothing.

In the first two attempts it waits until all are at their first item, and then until
no further job is begun. The program ends when all jobs have.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

from jobsvc.jobs.errors import UnknownJob
from jobsvc.jobs.job import Job
from jobsvc.jobs.states import FINISHED
from jobsvc.kinds import Item, RowKind, Source
from jobsvc.kinds.contract import JobContext
from jobsvc.process.app import create_app
from jobsvc.runs import crashes, runner
from jobsvc.runs.claims import RunClaims
from jobsvc.service.new_job import NewJob
from jobsvc.web.services import Services

JOBS = {"poison": "poison", "other-1": "other", "other-2": "other", "other-3": "other"}
AMONG_ALL = 2
"""As many attempts make a job a suspect."""

nothing_more = threading.Event()
"""Set when the poison was begun, and no further job could be."""


class Watched(RunClaims):
    """Sets `nothing_more`."""

    poison_begun = False

    def claim(self) -> Job | None:
        claimed = super().claim()
        if claimed is not None and claimed.id == "poison":
            self.poison_begun = True
        if claimed is None and self.poison_begun:
            nothing_more.set()
        return claimed


all_there = threading.Barrier(len(JOBS))

made = threading.Event()
"""Set when there is a service to ask: jobs of the process before begin while it is being made."""


def among_all(job_id: str) -> bool:
    made.wait()
    return services.jobs.get(job_id).attempt <= AMONG_ALL


class Poison(RowKind):
    name = "poison"
    takes_file = False

    def source(self, context: JobContext, after: Any) -> Source:
        return Source(((number, number) for number in range((after or 0) + 1, 4)), 3)

    def process(self, row: int, item: Item) -> None:
        if among_all(item.job_id):
            all_there.wait()
        nothing_more.wait()
        os.kill(os.getpid(), signal.SIGKILL)


class Other(Poison):
    name = "other"

    def process(self, row: int, item: Item) -> None:
        if among_all(item.job_id):
            all_there.wait()
        if services.jobs.get("poison").state not in FINISHED:
            # Beside the poison this one comes to no checkpoint.
            threading.Event().wait()


crashes.FIRST_DELAY_SECONDS = 0.02
runner.RunClaims = Watched  # type: ignore[misc]
app = create_app(extra_kinds=[Poison(), Other()])
services = app.extensions["jobsvc"]
assert isinstance(services, Services)
made.set()
for job_id, kind in JOBS.items():
    try:
        services.jobs.get(job_id)
    except UnknownJob:
        services.jobs.submit(NewJob(id=job_id, kind=kind, user="test", params={}))
while any(services.jobs.get(job_id).state not in FINISHED for job_id in JOBS):
    time.sleep(0.01)
