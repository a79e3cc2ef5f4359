"""Well-formed files are read as other readers read them: Python's `csv`, strict, and DuckDB's."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobsvc.kinds.csv.detection import detected_delimiter
from jobsvc.kinds.csv.format import CsvFormat
from jobsvc.kinds.csv.source import CsvSource
from tests.support.flights import data_dir

MAX_ROWS = 20_000


def ours(path: Path, form: CsvFormat) -> list[list[str]]:
    with path.open("rb") as file:
        source = CsvSource(file, None, None, form)
        rows = [source.columns]
        for batch in source.batches(lambda _, fields: fields):
            items = list(batch.items)
            assert batch.end(len(items)).refused == ()
            rows += items
            if len(rows) > MAX_ROWS:
                break
    return rows[: MAX_ROWS + 1]


def pythons(path: Path, delimiter: str) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.reader(file, delimiter=delimiter, strict=True)
        return [row for _, row in zip(range(MAX_ROWS + 1), (row for row in rows if any(row)), strict=False)]


def duckdbs(path: Path, delimiter: str) -> list[list[str]]:
    query = """
        SELECT * FROM read_csv(?, delim=?, quote='"', escape='"', header=false, all_varchar=true, auto_detect=false,
            columns=?, nullstr='\\0no null', strict_mode=true, parallel=false, max_line_size=10000000)
    """
    width = len(pythons(path, delimiter)[0])
    columns = {f"c{at}": "VARCHAR" for at in range(width)}
    text = query.replace("columns=?", f"columns={columns}")
    rows = duckdb.sql(text, params=[str(path), delimiter]).limit(MAX_ROWS + 1).fetchall()
    return [["" if field is None else field for field in row] for row in rows]


def packaged() -> Iterator[Path]:
    """The CSV files of packages that are there for the tests."""
    yield from sorted(data_dir().glob("*.csv"))
    spec = find_spec("vega_datasets")
    assert spec is not None
    assert spec.origin is not None
    yield from sorted((Path(spec.origin).parent / "_data").glob("*.csv"))


@pytest.mark.parametrize("path", list(packaged()), ids=lambda path: path.name)
def test_files_of_packages_are_read_as_others_read_them(path: Path) -> None:
    with path.open("rb") as file:
        form = CsvFormat(delimiter=detected_delimiter(file, CsvFormat()))
    found = ours(path, form)
    assert found == pythons(path, form.delimiter)
    assert found == duckdbs(path, form.delimiter)


FIELDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ['"', '""', ",", "\n", "\r\n", " x ", "\\", "'"]
)


@settings(deadline=None, max_examples=100)
@given(
    st.integers(2, 4).flatmap(
        lambda width: st.lists(st.lists(FIELDS, min_size=width, max_size=width).filter(any), min_size=1, max_size=6)
    ),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_what_is_written_by_the_rules_is_read_alike(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], delimiter: str, end: str
) -> None:
    header = [f"column {at}" for at in range(len(rows[0]))]
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([header, *rows])
    path = tmp_path_factory.getbasetemp() / "written.csv"
    path.write_bytes(out.getvalue().encode())
    found = ours(path, CsvFormat(delimiter=delimiter))
    assert found == [header, *rows]
    assert found == duckdbs(path, delimiter)
