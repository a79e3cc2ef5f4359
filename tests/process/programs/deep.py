"""A plain interpreter in which kinds call themselves in C as deep as the usual stack allows; prints what came of it.

Python's own limit is raised, so that the stack is what limits: also on versions
whose guard would come before the end of a small one.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from jobsvc.jobs.states import FINISHED
from jobsvc.kinds import Item, RowKind, Source
from jobsvc.kinds.contract import JobContext
from jobsvc.process.app import create_app
from jobsvc.service.new_job import NewJob
from jobsvc.web.services import Services

DEPTH = 5_000


class Parses(RowKind):
    """Either it can be parsed, or Python says that it is too deep. The process lives."""

    name = "parses"
    takes_file = False

    def source(self, context: JobContext, after: Any) -> Source:
        return Source([("[" * DEPTH + "]" * DEPTH, 1)], 1)

    def process(self, row: str, item: Item) -> None:
        try:
            json.loads(row)
        except RecursionError:
            print("too deep", flush=True)


class ParsesSome(Parses):
    name = "parsesSome"
    concurrency = 2


sys.setrecursionlimit(10 * DEPTH)
app = create_app(extra_kinds=[Parses(), ParsesSome()])
services = app.extensions["jobsvc"]
assert isinstance(services, Services)
for kind in ("parses", "parsesSome"):
    services.jobs.submit(NewJob(id=kind, kind=kind, user="test", params={}))
    job = services.jobs.get(kind)
    while job.state not in FINISHED:
        job = services.jobs.get(kind)
    print(kind, job.state, flush=True)
