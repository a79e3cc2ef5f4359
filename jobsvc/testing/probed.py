"""A kind with a probe in it: it does what the kind does, and tells the probe."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from jobsvc.kinds.contract import (
    Batch,
    Effects,
    End,
    JobContext,
    JobInfo,
    Kind,
    KnownJobs,
    Readable,
    Refusal,
    Taken,
    Work,
)
from jobsvc.kinds.cutting import cut_smaller
from jobsvc.testing.faults import Probe

MAX_BATCHES_IN_VAIN = 10_000
"""An `undo` that still finds something after so many batches never ends."""


class ProbedKind(Kind):
    """The kind, with a checkpoint after at most `step` items, and at most `step` items undone at once."""

    def __init__(self, kind: Kind, probe: Probe, step: int) -> None:
        self._kind, self._probe, self._step = kind, probe, step
        for name in ("name", "takes_file", "Params", "tables", "line_key"):
            setattr(self, name, getattr(kind, name))

    def open(self, context: JobContext) -> Work:
        return _ProbedWork(self._kind.open(context), self._probe, self._step)

    def prepare(self, params: Any, upload: Readable | None) -> Any:
        return self._kind.prepare(params, upload)

    def check_jobs(self, params: Any, jobs: KnownJobs) -> None:
        self._kind.check_jobs(params, jobs)

    def undo(self, effects: Effects, limit: int) -> int:
        undone = self._kind.undo(effects, min(limit, self._step))
        if self._probe.undone > MAX_BATCHES_IN_VAIN:
            raise AssertionError(f"undo has returned {undone} for the {self._probe.undone}th time: it must come to 0")
        self._probe.undid()
        return undone

    @property
    def can_undo(self) -> bool:
        return self._kind.can_undo

    def clean_up(self, effects: Effects) -> None:
        self._kind.clean_up(effects)

    def on_start(self, job: JobInfo) -> None:
        self._kind.on_start(job)

    def on_resume(self, job: JobInfo) -> None:
        self._kind.on_resume(job)

    def on_pause(self, job: JobInfo) -> None:
        self._kind.on_pause(job)

    def on_success(self, job: JobInfo) -> None:
        self._kind.on_success(job)

    def on_failure(self, job: JobInfo) -> None:
        self._kind.on_failure(job)

    def on_terminate(self, job: JobInfo) -> None:
        self._kind.on_terminate(job)


class _ProbedWork(Work):
    def __init__(self, work: Work, probe: Probe, step: int) -> None:
        self._work, self._probe, self._step = work, probe, step
        self._mirror()

    def _mirror(self) -> None:
        self.columns, self.size, self.failure = self._work.columns, self._work.size, self._work.failure

    def batches(self) -> Iterator[Batch]:
        for batch in cut_smaller(self._work.batches(), lambda: lambda items: items >= self._step):
            yield _ProbedBatch(batch, self._probe)

    def take(self, batch: Batch, should_stop: Callable[[], bool]) -> Taken:
        taken = self._work.take(batch, should_stop)
        self._mirror()
        return taken

    def flush(self) -> None:
        self._work.flush()

    def apply(self, effects: Effects, items: Sequence[Any]) -> Sequence[tuple[int, str]]:
        refused = self._work.apply(effects, items)
        self._probe.applied()
        return refused

    def finish(self) -> None:
        self._work.finish()
        self._probe.finished()

    def close(self) -> None:
        self._work.close()


class _ProbedBatch(Batch):
    def __init__(self, batch: Batch, probe: Probe) -> None:
        self._batch, self._probe = batch, probe
        self.items = self._draw()

    def _draw(self) -> Iterator[Any]:
        for item in self._batch.items:
            self._probe.before_item()
            yield item
            self._probe.after_item()

    def end(self, taken: int) -> End:
        return self._batch.end(taken)

    def taken_before(self, item: int) -> int:
        return self._batch.taken_before(item)

    def end_after(self, item: int) -> End:
        return self._batch.end_after(item)

    def refusal(self, item: int, error: str) -> Refusal:
        return self._batch.refusal(item, error)
