"""A plain interpreter with a thousand paused jobs, whose threads are kept, and work for every slot."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Iterator

from jobsvc.kinds.contract import Batch, End, JobContext, Kind, Refusal, Work
from jobsvc.process.app import create_app
from jobsvc.service.new_job import NewJob
from jobsvc.web.services import Services

PAUSED = 1000


class PausesItself(Kind):
    """Its first item pauses its own job."""

    name = "pausesItself"
    takes_file = False

    def open(self, context: JobContext) -> Work:
        return _Numbered(context, lambda: services.jobs.pause(context.id, "test", 0))


class Endless(Kind):
    name = "endless"
    takes_file = False

    def open(self, context: JobContext) -> Work:
        return _Numbered(context, lambda: never.wait(0.001))


class _Numbered(Work):
    size = 10**9

    def __init__(self, context: JobContext, act) -> None:  # type: ignore[no-untyped-def]
        self._start = context.cursor["next"] if context.cursor else 0
        self._act = act

    def batches(self) -> Iterator[Batch]:
        for start in range(self._start, self.size, 100):
            yield _Hundred(start)

    def process(self, number: int) -> None:
        self._act()


class _Hundred(Batch):
    def __init__(self, start: int) -> None:
        self._start = start
        self.items = range(start, start + 100)

    def end(self, taken: int) -> End:
        return End({"next": self._start + taken}, self._start + taken)

    def refusal(self, item: int, error: str) -> Refusal:
        return Refusal(item, error)


def report() -> None:
    """Runs after the service's own atexit callback, which is registered later."""
    left = [thread.name for thread in threading.enumerate() if thread.name.startswith("jobsvc-")]
    print(f"threads left: {left}", flush=True)


never = threading.Event()
if __name__ == "__main__":
    atexit.register(report)
    app = create_app(extra_kinds=[PausesItself(), Endless()])
    services = app.extensions["jobsvc"]
    assert isinstance(services, Services)
    for number in range(PAUSED):
        services.jobs.submit(NewJob(id=f"paused-{number}", kind="pausesItself", user="test", params={}))
    for number in range(services.settings.max_running + 3):
        services.jobs.submit(NewJob(id=f"endless-{number}", kind="endless", user="test", params={}))
    never.wait()
