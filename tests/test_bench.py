"""What the bench has measured: its table, and the file that plots and pages are made from."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.report import Row, Series, at_most, at_most_more, at_most_times, broken, not_measured, times, unjudged
from bench.results import BEFORE, Results, here

PAUSES = Series("pauses", "jobs submitted", "ms", ((8, 1.5), (8, 2.5), (64, 2.25)))

ROWS = [
    times("imports", 250.0, 100.0, unit="rows/s", against="the loop", at_least=2.5),
    at_most("pauses, p99", 12.34, 20, unit="ms", reference=6.17, against="idle"),
    at_most_more("memory", 80.0, 60.0, 32, unit="MB", against="idle"),
    at_most_times("lists", 4.0, 2.0, 2, unit="ms", against="with 1,000 jobs"),
    not_measured("the shell", "it is not installed", "at least 1 x"),
    unjudged(times("workers", 1.0, 1.0, unit="rows/s", against="one", at_least=1.7), "needs four cores"),
]


def test_the_table_is_markdown_with_a_line_for_each_row() -> None:
    table = Results({}, ROWS).table().splitlines()

    assert [[cell.strip() for cell in line.split("|")[1:-1]] for line in table] == [
        ["what", "this project", "reference", "ratio", "target", "result"],
        [line.strip() for line in table[1].split("|")[1:-1]],
        ["imports", "250 rows/s", "100 rows/s (the loop)", "2.50 x", "at least 2.5 x", "ok"],
        ["pauses, p99", "12.3 ms", "6.2 ms (idle)", "2.00 x", "at most 20 ms", "ok"],
        ["memory", "80.0 MB", "60.0 MB (idle)", "+20.0 MB", "at most +32 MB", "ok"],
        ["lists", "4.0 ms", "2.0 ms (with 1,000 jobs)", "2.00 x", "at most 2 x", "ok"],
        ["the shell", "not measured", "it is not installed", "-", "at least 1 x", "-"],
        ["workers", "1 rows/s", "1 rows/s (one)", "1.00 x", "needs four cores", "-"],
    ]
    assert set(table[1]) == {"|", "-"}
    assert len({len(line) for line in table}) == 1


@pytest.mark.parametrize(
    "row",
    [
        times("w", 249.9, 100.0, unit="rows/s", against="r", at_least=2.5),
        at_most("w", 20.1, 20, unit="ms"),
        at_most_more("w", 92.1, 60.0, 32, unit="MB", against="r"),
        at_most_times("w", 4.1, 2.0, 2, unit="ms", against="r"),
        broken("w", OSError("no room")),
    ],
)
def test_what_is_beyond_its_target_is_missed(row: Row) -> None:
    assert row.cells[-1] == "MISSED"
    assert Results({}, [*ROWS, row]).missed == [row]


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    results = Results(here("full"))
    results.add([*ROWS, Series("pauses", "jobs", "ms", ((8, 1.5), (64, 2.25)))])
    results.write(tmp_path / "results.json")

    read = Results.read(tmp_path / "results.json")

    assert read == results
    assert read.points("pauses") == ((8, 1.5), (64, 2.25))
    assert read.points("nothing of the kind") == ()


def test_the_same_figures_make_the_same_plots(tmp_path: Path) -> None:
    plots = pytest.importorskip("bench.plots", exc_type=ImportError)
    now = Results({}, series=[Series("many jobs", "jobs", "rows/s", ((1, 100), (64, 90))), PAUSES])
    before = Results({}, series=[Series("many jobs", "jobs", "rows/s", ((1, 50), (64, 20)))])

    first, again = (plots.draw(now, before, tmp_path / name) for name in ("first", "again"))

    assert [path.name for path in first] == ["many-jobs.svg", "pauses.svg"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]
    assert ">before<" in first[0].read_text()


def test_the_figures_of_the_design_before_can_be_read() -> None:
    assert dict(Results.read(BEFORE).points("many jobs")) == {1: 86150, 64: 33286}
