"""What one checkpoint of a run writes in its transaction: effects, cursor, counters and state; and where a run ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from jobsvc.jobs.job import Job
from jobsvc.jobs.run_log import RunLog
from jobsvc.jobs.states import State
from jobsvc.kinds.contract import Batch, Kind, Refusal, Work
from jobsvc.runs.checkpoints.pending import Added, Ready, Written
from jobsvc.runs.commonest import Tally, counted, nothing_done, too_many
from jobsvc.runs.crashes import NO_CRASH
from jobsvc.runs.ending import current, end_job, locked, obey
from jobsvc.runs.hooks import CheckpointEffects
from jobsvc.runs.sampling.progress import ProgressMeter
from jobsvc.runs.sampling.sampler import Sampler
from jobsvc.runs.sampling.throughput import Throughput
from jobsvc.store.queries import refused_rows

MAX_ERROR_CHARACTERS = 500
"""How much of the reason of a refused item is kept; there may be millions of them."""

REASONS_LOOKED_AT = 1000
"""Among how many refused rows to look for the commonest reason, if no row was done."""

PART_ITEMS = 1000
"""So many items are written between two looks whether somebody is in a hurry."""


class CheckpointWriter:
    """Writes the checkpoints of one run of `job`, which was claimed as `running` with its `attempt`, and keeps count.

    For one thread at a time: while a checkpoint is being written and noted, that which commits; else the run's own.
    """

    def __init__(
        self,
        kind: Kind,
        job: Job,
        work: Work,
        meter: ProgressMeter,
        now: Callable[[], datetime],
        said: RunLog,
        *,
        output_bytes: Callable[[], int | None],
        has_header: bool = False,
        most_refused: int | None = None,
        part_items: Callable[[], int] = lambda: PART_ITEMS,
    ) -> None:
        """What the run has `said` is written with each.

        `output_bytes` tells how long the file is that the run makes, if it makes one.

        `has_header` says that an earlier run has saved the work's columns and size;
        `most_refused` is that of the job's parameters.

        `part_items` tells how many items to write before the next look whether somebody is in a hurry.
        """
        self.job = job
        self.kind = kind
        self.is_proved = job.crashes == 0
        """Whether the attempt counts as no crash so far."""
        self._work = work
        self._meter = meter
        self._now = now
        self._said = said
        self._output_bytes = output_bytes
        self._done = job.done
        self._refused = job.failed
        self._blank = job.blank
        self._warned = 0
        self._columns_saved = has_header
        self._max_refused = most_refused
        self._part_items = part_items
        self._throughput = Throughput(now, job.done + job.failed)
        self._sampler = Sampler(now, job.key, job.done, job.failed)

    def ready(self, batch: Batch, items: Sequence[Any]) -> Ready:
        """So much of the items that were taken of a batch as may be written: the last is right after the row that is
        one refused row too many, if there is one."""
        end = batch.end(len(items))
        if not end.refused or not self._over_limit(self._refused + len(end.refused)):
            return Ready(batch, end, items, too_many=False)
        last = end.refused[max(0, (self._max_refused or 0) - self._refused)]
        return Ready(batch, batch.end_after(last.item), items[: batch.taken_before(last.item)], too_many=True)

    def begin(self, ready: Ready) -> None:
        """From now on its items count for how fast the run is."""
        self._meter.count(len(ready.items) + len(ready.end.refused))

    def write(
        self, connection: Connection, ready: Ready, leaving: Callable[[], bool], hurry: Callable[[], bool]
    ) -> Written:
        """Write what is ready, or less of it where somebody is in a `hurry`. Raises AttemptLost."""
        # Not locked yet: whoever asks something of the job need not wait for the items. It is obeyed below.
        seen = current(connection, self.job, lock=False)
        count, refused_late = self._apply(CheckpointEffects(connection, seen.key), ready.items, hurry)
        job = locked(connection, seen)
        is_whole = count == len(ready.items)
        end = ready.end if is_whole else ready.batch.end(count)
        said = self._said.write(connection, job.key)
        refusals = [*end.refused, *(ready.batch.refusal(number, error) for number, error in refused_late)]
        if refusals:
            _store(connection, job, refusals)
        done = self._done + count - len(refused_late)
        refused = self._refused + len(refusals)
        blank = self._blank + end.blank
        values: dict[str, Any] = {"cursor": end.cursor, "position": end.position}
        values |= {"done": done, "failed": refused, "blank": blank}
        warned = len(self._work.warnings)
        values |= self._meter.figures(end.position) | self._new_warnings() | self._made()
        # A checkpoint without any item proves nothing: its run has broken off at its first item.
        proved = not self.is_proved and bool(count or end.refused or end.blank)
        if proved:
            values |= NO_CRASH
        if (ready.too_many and is_whole) or (refused_late and self._over_limit(refused)):
            values["error"] = too_many(refused, self._max_refused)
            state = end_job(connection, self.kind, job, State.FAILED, at=self._now(), **self._with_header(values))
        else:
            values = self._with_header(values)
            state = obey(connection, self.kind, job, leaving=leaving(), at=self._now(), **values)
        last = state is not State.RUNNING
        told = self._throughput.add(connection, done + refused, last=last)
        sampled = self._sampler.add(connection, done, refused, last=last)
        added = Added(count - len(refused_late), len(refusals), end.blank)
        return Written(state, count, added, warned, said, proved, told, sampled)

    def _apply(
        self, effects: CheckpointEffects, items: Sequence[Any], hurry: Callable[[], bool]
    ) -> tuple[int, Sequence[tuple[int, str]]]:
        """Make the effects of the items, of all or, where somebody is in a hurry, of the first ones.

        Returns of how many, and which of these are refused after all.
        """
        if self._work.acts_at_once():
            return len(items), self._work.apply(effects, items)
        refused: list[tuple[int, str]] = []
        start = 0
        while True:
            part = items[start : start + self._part_items()]
            refused += self._work.apply(effects, part)
            start += len(part)
            if start == len(items) or hurry():
                return start, refused

    def note(self, written: Written) -> None:
        """It is committed, and counts."""
        self._throughput.noted(written.told)
        self._sampler.noted(written.sampled)
        self._done += written.added.done
        self._refused += written.added.refused
        self._blank += written.added.blank
        self._columns_saved = True
        self._warned = written.warned
        self._said.written(written.said)
        self.is_proved |= written.proved

    def _over_limit(self, refused: int) -> bool:
        return self._max_refused is not None and refused > self._max_refused

    def _with_header(self, values: dict[str, Any]) -> dict[str, Any]:
        if self._columns_saved:
            return values
        return values | self._header()

    def _header(self) -> dict[str, Any]:
        """What is remembered of the file once it was opened."""
        return {"size": self._work.size, "columns": self._work.columns}

    def _made(self) -> dict[str, Any]:
        """How much the run has stored, if it makes a file."""
        size = self._output_bytes()
        return {} if size is None else {"result_bytes": size}

    def _new_warnings(self) -> dict[str, Any]:
        """What has been noticed of the file since the last checkpoint, beside what the job says already."""
        if len(self._work.warnings) == self._warned:
            return {}
        known = self.job.warnings
        return {"warnings": [*known, *(text for text in self._work.warnings if text not in known)]}

    def end(self, connection: Connection, _hurry: Callable[[], bool]) -> tuple[State, int]:
        """End the job after its last batch. Returns where it is now, and what `ended` is told. Raises AttemptLost."""
        job = current(connection, self.job)
        written = self._said.write(connection, job.key)
        values = self._header() | self._new_warnings() | self._made()
        after = State.SUCCEEDED
        if self._refused and not self._done:
            after, values["error"] = State.FAILED, self._nothing_done(connection)
        state = end_job(connection, self.kind, job, after, at=self._now(), **values)
        self._throughput.add(connection, self._done + self._refused, last=True)
        self._sampler.add(connection, self._done, self._refused, last=True)
        return state, written

    def ended(self, said: int) -> None:
        """That is committed."""
        self._said.written(said)

    def _nothing_done(self, connection: Connection) -> str:
        rows = refused_rows.of_job(connection, self.job.key, 0, REASONS_LOOKED_AT)
        return nothing_done(self._refused, [row["error"] for row in rows])


def _store(connection: Connection, job: Job, refusals: Sequence[Refusal]) -> None:
    """Refused items, and how many there are of each sort now: nobody else counts, since the job's row is locked."""
    refused_rows.add(connection, job.key, [_row(refusal) for refusal in refusals])
    known = map(Tally.from_row, refused_rows.counts(connection, job.key))
    changed = counted(known, ((refusal.item, refusal.error) for refusal in refusals))
    refused_rows.set_counts(connection, job.key, [tally.as_row() for tally in changed])


def _row(refusal: Refusal) -> dict[str, Any]:
    """A refused item as it is stored: with the beginning of its reason."""
    error = refusal.error[:MAX_ERROR_CHARACTERS]
    place = {"line": refusal.line, "offset": refusal.offset, "length": refusal.length}
    return {"item": refusal.item, "error": error, **place}
