"""A WSGI application with a job whose items hang for ever, two at once. By itself it ends when they hang."""

from __future__ import annotations

import threading
from typing import Any

from jobsvc.kinds import Item, RowKind, Source
from jobsvc.kinds.contract import JobContext
from jobsvc.process.app import create_app
from jobsvc.service.new_job import NewJob
from jobsvc.web.services import Services

both_hang = threading.Barrier(3)


class Hangs(RowKind):
    name = "hangs"
    takes_file = False
    concurrency = 2

    def source(self, context: JobContext, after: Any) -> Source:
        return Source(((number, number) for number in range(1, 3)), 2)

    def process(self, row: int, item: Item) -> None:
        both_hang.wait()
        threading.Event().wait()


app = create_app(extra_kinds=[Hangs()])
services = app.extensions["jobsvc"]
assert isinstance(services, Services)
services.jobs.submit(NewJob(id="hanging", kind="hangs", user="test", params={}))
both_hang.wait()
print("both hang", flush=True)
