"""Running a job of a kind once, and once more for every fault that can come between."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

from sqlalchemy import Connection, MetaData

from jobsvc.jobs.states import State
from jobsvc.kinds.contract import Kind
from jobsvc.kinds.own_tables import make_tables
from jobsvc.kinds.registry import load_kinds
from jobsvc.store.database import Database
from jobsvc.store.migrate import upgrade
from jobsvc.testing.environment import CrashingDatabase, KindEnvironment
from jobsvc.testing.faults import Fault, FaultType, Probe
from jobsvc.testing.outcome import Outcome, table_difference

ITEMS_PER_CHECKPOINT = 3
"""Few, so that there are many checkpoints for a fault to come at."""

Csv: TypeAlias = str | bytes | Path
"""The text, the bytes, or the path of an upload."""

ON_EACH_ITEM = (FaultType.PAUSE, FaultType.SHUTDOWN, FaultType.KILL_AT_LOOK, FaultType.KILL_AFTER_ITEM)
ON_EACH_CHECKPOINT = (FaultType.KILL_BEFORE_COMMIT, FaultType.KILL_AFTER_COMMIT)
ON_EACH_UNDO = (FaultType.STOP_UNDO, FaultType.KILL_BEFORE_UNDO_COMMIT, FaultType.KILL_AFTER_UNDO_COMMIT)


class CheckFailed(AssertionError):
    """A job came to something else after a fault than without one; the text says which fault, and what differs."""


def run(
    kind: Kind,
    csv: Csv | None = None,
    params: Mapping[str, Any] | None = None,
    *,
    tables: Collection[str] | None = None,
    ignore: Collection[str] = (),
    metadata: MetaData | None = None,
    before: Callable[[Connection], object] | None = None,
    outcome: Callable[[], object] | None = None,
    reset: Callable[[], object] | None = None,
) -> Outcome:
    """Run a job of `kind` to its end, without a fault.

    `params` are given as a client gives them. `tables` names the tables to read
    (None: all but the service's bookkeeping), and `ignore` columns to leave out, as
    `"table.column"`. The kind's own tables are made, and those of `metadata`;
    `before` then fills in what the job finds there. `reset` is called before the
    job, `outcome` after it. Raises InvalidParameter, KindError.
    """
    with TemporaryDirectory(prefix="jobsvc-") as directory:
        trial = _Trial(Path(directory), kind, csv, params or {}, tables, ignore, metadata, before, outcome, reset)
        with closing(trial):
            return trial.run(Fault(FaultType.NOTHING)).outcome


def check(
    kind: Kind,
    csv: Csv | None = None,
    params: Mapping[str, Any] | None = None,
    *,
    outcome: Callable[[], object] | None = None,
    reset: Callable[[], object] | None = None,
    tables: Collection[str] | None = None,
    ignore: Collection[str] = (),
    metadata: MetaData | None = None,
    before: Callable[[Connection], object] | None = None,
    max_items: int | None = None,
    items_per_checkpoint: int = ITEMS_PER_CHECKPOINT,
) -> Outcome:
    """Run a job of `kind` without a fault, then once for every fault; all must come to the same.

    At every item: a pause, a stop of the service, and a death of the process
    right before and right after it. At every checkpoint (after `items_per_checkpoint`
    items): a death right before and right after its commit. At the end: a death
    between `finish` and success. The job goes on each time as it does in the service.
    If the kind has an `undo`, the job is also rolled back, whole and half done, with a
    stop and a death at every batch. Nothing may be left then.

    Compared are the state, the counters, the refused rows, the file made, the
    tables, and what `outcome` returns: what was done outside the database. That may
    be repeated, and `item.key` tells a repetition (see `Outside`). `max_items` limits
    at how many items, checkpoints and batches faults come, from the first to the last.
    The other arguments are those of `run`. Returns the outcome without a fault.

    Raises CheckFailed at the first difference.
    """
    with TemporaryDirectory(prefix="jobsvc-") as directory:
        trial = _Trial(
            Path(directory),
            kind,
            csv,
            params or {},
            tables,
            ignore,
            metadata,
            before,
            outcome,
            reset,
            items_per_checkpoint,
        )
        with closing(trial):
            return _check(trial, max_items)


def _check(trial: _Trial, max_items: int | None) -> Outcome:
    untouched = trial.run(Fault(FaultType.NOTHING))
    expected = untouched.outcome
    if expected.state is not State.SUCCEEDED:
        raise CheckFailed(f"{trial.kind.name}, undisturbed: the job {expected.state}: {expected.error}")
    items, checkpoints = untouched.probe.items, untouched.probe.checkpoints
    for fault in (
        *_each(ON_EACH_ITEM, items, max_items),
        *_each(ON_EACH_CHECKPOINT, checkpoints, max_items),
        Fault(FaultType.KILL_AFTER_FINISH, checkpoints),
    ):
        found = trial.run(fault)
        _complain(trial, fault, expected.difference(found.outcome))
        if not found.probe.happened:
            raise CheckFailed(f"{trial.kind.name}: another run never came to this: {fault}")
    if trial.kind.can_undo:
        whole = Fault(FaultType.NOTHING)
        batches = trial.roll_back(whole)
        halfway = [Fault(FaultType.PAUSE, (items + 1) // 2)] if items else []
        for fault in (*halfway, *_each(ON_EACH_UNDO, batches, max_items)):
            trial.roll_back(fault)
    return expected


def _each(types: Collection[FaultType], count: int, most: int | None) -> Iterator[Fault]:
    """A fault of each type at each of the numbers from 1 to `count`, or at `most` of them, evenly spread."""
    numbers = list(range(1, count + 1))
    if most is not None and most < count:
        numbers = sorted({1 + round(index * (count - 1) / max(1, most - 1)) for index in range(most)})
    for number in numbers:
        for type in types:
            yield Fault(type, number)


def _complain(trial: _Trial, fault: Fault, differences: list[str]) -> None:
    if differences:
        raise CheckFailed("\n  ".join([f"{trial.kind.name}, {fault}:", *differences]))


@cache
def _empty_database() -> bytes:
    """The service's tables, with nothing in them."""
    with TemporaryDirectory(prefix="jobsvc-") as directory:
        path = Path(directory) / "empty.db"
        database = Database(f"sqlite:///{path}")
        upgrade(database)
        database.close()
        return path.read_bytes()


@dataclass(frozen=True)
class _Run:
    outcome: Outcome
    probe: Probe


@dataclass
class _Trial:
    """One job that is run many times, each time in a new environment."""

    directory: Path
    kind: Kind
    csv: Csv | None
    params: Mapping[str, Any]
    tables: Collection[str] | None
    ignore: Collection[str]
    metadata: MetaData | None
    before: Callable[[Connection], object] | None
    outcome: Callable[[], object] | None
    reset: Callable[[], object] | None
    step: int = ITEMS_PER_CHECKPOINT

    def __post_init__(self) -> None:
        load_kinds((), [self.kind])
        if isinstance(self.csv, Path):
            self.csv = self.csv.read_bytes()
        elif isinstance(self.csv, str):
            self.csv = self.csv.encode()
        self._template = self.directory / "template.db"
        self._template.write_bytes(_empty_database())
        database = Database(f"sqlite:///{self._template}")
        with database.write() as connection:
            make_tables(connection, [self.kind])
            if self.metadata is not None:
                self.metadata.create_all(connection)
            if self.before is not None:
                self.before(connection)
        database.close()
        self._database = CrashingDatabase(self.directory / "trial.db")

    def close(self) -> None:
        self._database.close()

    def run(self, fault: Fault) -> _Run:
        probe = Probe(fault)
        environment = self._begin(probe)
        environment.run()
        return _Run(environment.outcome(self.tables, self.ignore, self._outside()), probe)

    def roll_back(self, fault: Fault) -> int:
        """Run the job and roll it back; returns the number of batches. Raises CheckFailed if anything is left."""
        probe = Probe(fault)
        environment = self._begin(probe)
        environment.then_roll_back = True
        before = environment.contents(self.tables, self.ignore)
        environment.run()
        environment.roll_back()
        job = environment.job()
        left = table_difference(before, environment.contents(self.tables, self.ignore))
        if not job.rolled_back or job.state is not State.TERMINATED:
            left.insert(0, f"the job is {job.state} and not rolled back: {job.error}")
        if left:
            raise CheckFailed("\n  ".join([f"{self.kind.name}, {fault}: after the rollback,", *left]))
        return probe.undone

    def _begin(self, probe: Probe) -> KindEnvironment:
        if self.reset is not None:
            self.reset()
        self._database.begin(self._template, probe)
        environment = KindEnvironment(self._database, self.kind, probe, self.step)
        assert self.csv is None or isinstance(self.csv, bytes)
        environment.submit(self.csv, self.params)
        return environment

    def _outside(self) -> Any:
        return None if self.outcome is None else deepcopy(self.outcome())
