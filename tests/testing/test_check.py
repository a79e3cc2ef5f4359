"""The test kit finds what is wrong with a kind, and nothing with one that is right."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from inspect import isfunction
from typing import Any

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, delete, func, insert, select, update

from jobsvc.kinds import (
    CsvParams,
    CsvWork,
    Effects,
    Item,
    JobContext,
    JobInfo,
    Kind,
    KindParams,
    Refused,
    Retry,
    RowKind,
    Source,
    Work,
)
from jobsvc.kinds.builtin.baseline_csv import BaselineCSV
from jobsvc.kinds.builtin.bulk_team import BulkTeam
from jobsvc.kinds.builtin.create_export import CreateExport
from jobsvc.kinds.contract import Batch
from jobsvc.store.queries import job_rows
from jobsvc.store.tables import records
from jobsvc.testing import CheckFailed, Logged, Outside, check, run
from jobsvc.testing.environment import MOMENT
from jobsvc.testing.probed import ProbedKind, _ProbedWork

own = MetaData()
names = Table("names", own, Column("id", Integer, primary_key=True), Column("job", Integer), Column("name", String))
total = Table("total", own, Column("sum", Integer))

CSV = 'name\nAnn\nBob\n\nCleo\n"x"y\nDan\nEve\n'
"""Five names; lines 4 and 6 are refused by the source."""


class Greet(RowKind):
    name = "greet"
    tables = own

    def process(self, row: Any, item: Item) -> None:
        if row["name"] == "Bob":
            raise Refused("not Bob")
        item.execute(insert(names).values(job=item.job_key, name=row["name"]))

    def undo(self, effects: Effects, limit: int) -> int:
        latest = select(names.c.id).where(names.c.job == effects.job_key).order_by(names.c.id.desc()).limit(limit)
        return effects.execute(delete(names).where(names.c.id.in_(latest.scalar_subquery()))).rowcount


def test_run_tells_what_a_job_came_to():
    outcome = run(Greet(), CSV)
    assert (outcome.state, outcome.done, outcome.failed, outcome.error) == ("succeeded", 4, 2, None)
    assert [line for line, _ in outcome.refused] == [3, 6]
    assert outcome.refused[0][1] == "not Bob"
    assert [row["name"] for row in outcome.tables["names"]] == ["Ann", "Cleo", "Dan", "Eve"]


def test_run_obeys_parameters_and_reads_the_tables_that_are_named():
    outcome = run(Greet(), CSV, {"max_failed": "0"}, tables=["total"])
    assert outcome.state == "failed"
    assert "max_failed=0" in str(outcome.error)
    assert outcome.tables == {"total": []}
    assert run(Greet(), CSV, {"dry_run": "1"}).tables["names"] == []


def test_a_plain_kind_passes():
    assert check(Greet(), CSV).done == 4


def test_several_items_at_once_pass():
    class Several(Greet):
        concurrency = 4

    assert check(Several(), CSV + "".join(f"{n}\n" for n in range(6)), max_items=4).done == 10


def test_retries_and_calls_to_the_outside_pass_and_may_repeat():
    api = Outside()

    class Register(RowKind):
        name = "register"
        tables = own
        retry = Retry(on=(ConnectionError,), first_delay=0)

        def process(self, row: Any, item: Item) -> None:
            api.note(item.key, row["name"])
            if row["name"] == "Bob" and len(api.calls()) % 2:
                raise ConnectionError
            item.execute(insert(names).values(job=item.job_key, name=row["name"]))

    outcome = check(Register(), CSV, outcome=api.effects, reset=api.clear)
    assert [name for _, name in outcome.outside] == ["Ann", "Bob", "Cleo", "Dan", "Eve"]


class Count(KindParams):
    to: int = 7


class Counting(RowKind):
    name = "counting"
    tables = own
    takes_file = False
    Params = Count

    def source(self, context: JobContext, after: Any) -> Source:
        numbers = range((after or 0) + 1, context.params.to + 1)
        return Source(((number, number) for number in numbers), size=context.params.to)

    def process(self, row: Any, item: Item) -> None:
        item.insert(names, ("job", "name"), [(item.job_key, str(row))])


def test_an_own_source_passes():
    assert [row["name"] for row in check(Counting(), params={"to": 8}).tables["names"]] == list("12345678")


def test_baseline_csv_passes():
    outcome = check(BaselineCSV(), 'date,n\n2026-01-01,1\n2026-01-02,2\nx,3\n2026-01-04,4\n2026-01-05,"5\n"\n')
    assert (outcome.done, outcome.failed) == (4, 1)


def test_bulk_team_passes():
    csv = "team,lead,members\nA,Ann,Bob;Cleo\nB,Dan,\nA,Eve,\nC,,Fay\nD,Gus,\nB,Hal,\n"
    outcome = check(BulkTeam(), csv)
    assert (outcome.done, outcome.failed) == (4, 2)
    assert check(BulkTeam(), csv, {"dry_run": "true"}, max_items=2).tables["dry_run_teams"] == []


FIVE_DAYS = {"from": "2026-01-01", "to": "2026-01-05"}


def five_records(connection: Connection) -> None:
    values = {"id": "J", "kind": "baselineCSV", "user": "Jon-Doe", "params": {}, "state": "succeeded"}
    moments = {"created_at": MOMENT, "queued_at": MOMENT}
    key = job_rows.add(connection, {**values, **moments, "columns": ["n"]})
    rows = [{"job_key": key, "row": n, "date": f"2026-01-0{n}", "data": f'["{n}"]'} for n in range(1, 6)]
    connection.execute(insert(records), rows)


def test_create_export_passes():
    outcome = check(CreateExport(), params=FIVE_DAYS, before=five_records)
    assert outcome.output is not None
    assert outcome.output.decode().split()[-1] == "J,5,2026-01-05,5"


def test_what_was_there_before_is_left_by_a_rollback():
    check(Greet(), CSV, before=lambda connection: connection.execute(insert(names).values(job=0, name="old")))


def test_own_tables_may_also_come_as_metadata_and_columns_be_ignored():
    class Stamped(Greet):
        tables = None
        runs = 0

        def process(self, row: Any, item: Item) -> None:
            Stamped.runs += 1
            item.execute(insert(names).values(job=Stamped.runs, name=row["name"]))

        undo = Kind.undo

    check(Stamped(), CSV, metadata=own, ignore=["names.job"])
    with pytest.raises(CheckFailed, match="table names: missing"):
        check(Stamped(), CSV, metadata=own)


class Batched(Kind):
    name = "batch"
    tables = own
    Params = CsvParams

    def open(self, context: JobContext) -> Work:
        return BatchWork(context)


class BatchWork(CsvWork):
    def __init__(self, context: JobContext) -> None:
        super().__init__(context)
        self.context = context

    def batches(self) -> Iterator[Batch]:
        return self.source.batches(lambda row, fields: fields[0])

    def apply(self, effects: Effects, items: Sequence[str]) -> Sequence[tuple[int, str]]:
        effects.insert(names, ("job", "name"), [(effects.job_key, name) for name in items])
        return ()


def with_work(work: type[Work]) -> Kind:
    """The batch kind, with another work."""

    class Changed(Batched):
        def open(self, context: JobContext) -> Work:
            return work(context)  # type: ignore[call-arg]

    return Changed()


def test_the_batch_form_passes():
    check(Batched(), CSV)


def complaint(kind: Kind, **more: Any) -> str:
    with pytest.raises(CheckFailed) as raised:
        check(kind, CSV, **more)
    return str(raised.value)


def test_finds_a_write_past_the_checkpoint():
    class PastIt(BatchWork):
        def process(self, item: str) -> None:
            with self.context.read() as connection:
                connection.execute(insert(names).values(job=0, name=item))

    text = complaint(with_work(PastIt))
    assert re.match(r"batch, killed right after item 1:\n  table names: missing .*'name': 'Eve'", text), text


def test_finds_a_call_without_a_key():
    calls: list[str] = []

    class NoKey(Greet):
        def process(self, row: Any, item: Item) -> None:
            calls.append(row["name"])

    text = complaint(NoKey(), outcome=lambda: calls, reset=calls.clear)
    assert text.startswith("greet, killed right after item 1:\n  outside: ['Ann', 'Bob', 'Cleo', 'Dan', 'Eve'] undist")


def test_finds_a_call_whose_content_changes_from_try_to_try():
    api = Outside()

    class Changing(Greet):
        def process(self, row: Any, item: Item) -> None:
            api.note(item.key, len(api.calls()))

    assert "killed right after item 1" in complaint(Changing(), outcome=api.effects, reset=api.clear)


def test_finds_what_counts_in_on_resume():
    started: list[str] = []

    class Resumes(Greet):
        def on_start(self, job: JobInfo) -> None:
            started.append(job.id)

        on_resume = on_start

    text = complaint(Resumes(), outcome=lambda: len(started), reset=started.clear)
    assert text == "greet, paused at the look before item 1:\n  outside: 1 undisturbed, 2 disturbed"


def test_finds_a_total_that_is_kept_outside_the_checkpoint():
    class InMemory(BatchWork):
        sum = 0

        def apply(self, effects: Effects, items: Sequence[str]) -> Sequence[tuple[int, str]]:
            self.sum += len(items)
            if effects.execute(select(func.count()).select_from(total)).scalar_one() == 0:
                effects.execute(insert(total).values(sum=0))
            effects.execute(update(total).values(sum=self.sum))
            return ()

    assert "table total: missing {'sum': 5}\n  table total: too much {'sum': " in complaint(with_work(InMemory))


def test_finds_a_total_that_outlives_a_lost_checkpoint():
    sums: dict[int, int] = {}

    class OnTheKind(BatchWork):
        def apply(self, effects: Effects, items: Sequence[str]) -> Sequence[tuple[int, str]]:
            sums[effects.job_key] = sums.get(effects.job_key, 0) + len(items)
            return ()

    text = complaint(with_work(OnTheKind), outcome=lambda: sums, reset=sums.clear)
    assert text.startswith(
        "batch, killed right before the commit of checkpoint 1:\n  outside: {1: 5} undisturbed, {1: 8}"
    )


def test_finds_a_file_that_is_not_flushed_before_its_checkpoint():
    class Unflushed(CreateExport):
        name = "unflushed"

        def open(self, context: JobContext) -> Work:
            work = super().open(context)
            work.flush = lambda: None  # type: ignore[method-assign]
            return work

    with pytest.raises(CheckFailed) as raised:
        check(Unflushed(), params=FIVE_DAYS, before=five_records)
    assert "killed right before item 4:\n  state: <State.SUCCEEDED" in str(raised.value)
    assert "the unfinished export file is shorter than it was" in str(raised.value)


def test_finds_an_undo_that_leaves_something():
    class HalfUndone(Greet):
        def undo(self, effects: Effects, limit: int) -> int:
            return effects.execute(delete(names).where(names.c.name < "D")).rowcount

    text = complaint(HalfUndone())
    assert text.startswith("greet, undisturbed: after the rollback,\n  table names: too much"), text


def test_finds_an_undo_that_counts_outside_its_transaction():
    class Remembering(Greet):
        left = 0

        def on_start(self, job: JobInfo) -> None:
            self.left = 4

        def undo(self, effects: Effects, limit: int) -> int:
            if not self.left:
                return 0
            self.left = max(0, self.left - limit)
            return super().undo(effects, limit)

    assert "killed right before the commit of batch 1: after the rollback," in complaint(Remembering())


def test_finds_an_undo_that_never_ends(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("jobsvc.testing.probed.MAX_BATCHES_IN_VAIN", 20)

    class Endless(Greet):
        def undo(self, effects: Effects, limit: int) -> int:
            return 1

    text = complaint(Endless())
    assert "it must come to 0" in text


def test_a_job_that_fails_undisturbed_is_told_at_once():
    class Failing(Greet):
        def process(self, row: Any, item: Item) -> None:
            raise ZeroDivisionError

    assert complaint(Failing()) == "greet, undisturbed: the job failed: ZeroDivisionError: "


def test_so_many_items_are_disturbed_as_asked_for():
    class Slow(Greet):
        starts = 0

        def on_start(self, job: JobInfo) -> None:
            Slow.starts += 1

        undo = Kind.undo

    check(Slow(), "name\n" + "x\n" * 50, max_items=2)
    assert 2 + 2 * 4 < Slow.starts < 30


def hooks(cls: type) -> set[str]:
    return {name for name, found in vars(cls).items() if isfunction(found) and not name.startswith("_")}


def test_a_kind_with_a_probe_in_it_has_all_its_own_hooks_called():
    # What is left over, and what is a dry run, is for clients. An item is processed by the `take` of the kind's work.
    assert hooks(Kind) - hooks(ProbedKind) == {"left_over", "is_dry_run"}
    assert hooks(Work) - hooks(_ProbedWork) == {"process"}


class Speaks(RowKind):
    name = "speaks"

    def process(self, row: Any, item: Item) -> None:
        item.log(f"hello {row['name']}", level="warning" if row["name"] == "Bob" else "info")


def test_the_outcome_shows_what_the_kind_wrote_into_the_job_s_log() -> None:
    assert run(Speaks(), "name\nAnn\nBob\n").log == [
        Logged("hello Ann", item=1),
        Logged("hello Bob", "warning", item=2),
    ]
    # After a death of the process, what was said since the checkpoint is lost, and said again.
    check(Speaks(), "name\nAnn\nBob\nCleo\nDan\n")
