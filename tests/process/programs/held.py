"""A WSGI application with one job whose second item waits until the file `$HOLD` is gone."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from jobsvc.kinds.contract import Batch, Effects, End, JobContext, Kind, Refusal, Work
from jobsvc.process.app import create_app
from jobsvc.service.lookup import Listed
from jobsvc.service.new_job import NewJob
from jobsvc.store.tables import records
from jobsvc.web.services import Services

HOLD = Path(os.environ["HOLD"])
ITEMS = 5


class Held(Kind):
    name = "held"
    takes_file = False

    def open(self, context: JobContext) -> Work:
        return _HeldWork(context)


class _HeldWork(Work):
    size = ITEMS
    columns = ["number"]  # noqa: RUF012

    def __init__(self, context: JobContext) -> None:
        self._start = context.cursor["next"] if context.cursor else 1

    def batches(self) -> Iterator[Batch]:
        for number in range(self._start, ITEMS + 1):
            yield _One(number)

    def process(self, number: int) -> None:
        while number > 1 and HOLD.exists():
            time.sleep(0.01)

    def apply(self, effects: Effects, items: Sequence[int]) -> Sequence[tuple[int, str]]:
        rows = [(effects.job_key, number, "2026-01-01", f'["{number}"]') for number in items]
        effects.insert(records, ("job_key", "row", "date", "data"), rows)
        return ()


class _One(Batch):
    def __init__(self, number: int) -> None:
        self._number = number
        self.items = [number]

    def end(self, taken: int) -> End:
        return End({"next": self._number + taken}, self._number + taken - 1)

    def refusal(self, item: int, error: str) -> Refusal:
        return Refusal(item, error)


app = create_app(extra_kinds=[Held()])
_services = app.extensions["jobsvc"]
assert isinstance(_services, Services)
if not _services.jobs.page(Listed(kind="held"), limit=1).jobs:
    _services.jobs.submit(NewJob(id="held-job", kind="held", user="test", params={}))
