"""What a preview says of a file is what a job then makes of it."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobsvc.process.app import create_app
from jobsvc.settings import Settings
from tests.conftest import WholeAnswers
from tests.kinds.csv.test_other_readers import packaged
from tests.support.csv_files import bodies, files
from tests.support.previews import SHOWN, assert_as_a_job, preview
from tests.support.waiting import Commits, noted_commits


@pytest.fixture(scope="module")
def commits() -> Iterator[Commits]:
    with noted_commits() as commits:
        yield commits


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, commits: Commits) -> Iterator[FlaskClient]:
    data_dir = tmp_path_factory.mktemp("as-a-job") / "data"
    app = create_app(Settings(data_dir=data_dir, min_free_bytes=0), own_process=False)
    app.test_client_class = WholeAnswers
    yield app.test_client()
    app.extensions["jobsvc"].close()


OPTIONS = st.fixed_dictionaries(
    {"date_column": st.sampled_from(["", "a", "b", "z"])},
    optional={
        "quotes": st.sampled_from(["strict", "lazy", "none"]),
        "ragged": st.sampled_from(["refuse", "pad"]),
        "delimiter": st.sampled_from(["auto", "comma", "semicolon"]),
        "max_failed": st.sampled_from(["0", "1", "3"]),
        "encoding": st.sampled_from(["utf-8", "latin-1"]),
    },
)

ODD_DATES = st.lists(st.sampled_from([b"2026-01-01,x,y\n", b"2026-1-1,,\n", b"soon,1,2\n", b"31/12/2026,1,2\n"]))


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(data=files(), options=OPTIONS, dates=ODD_DATES)
def test_of_odd_files(
    client: FlaskClient, commits: Commits, data: bytes, options: dict[str, str], dates: list[bytes]
) -> None:
    assert_as_a_job(client, commits, data + b"\n" + b"".join(dates), "baselineCSV", **options)


@settings(deadline=None, max_examples=30, suppress_health_check=list(HealthCheck))
@given(data=bodies(), header=st.sampled_from([b"team,members,m\n", b"sep=;\nteam,x;members\r\n", b"tam,m\n"]))
def test_of_odd_teams(client: FlaskClient, commits: Commits, data: bytes, header: bytes) -> None:
    # The second time, they exist already.
    for _ in range(2):
        assert_as_a_job(client, commits, header + data, "bulkTeam")


@pytest.mark.parametrize("path", list(packaged()), ids=lambda path: path.name)
def test_of_the_beginnings_of_files_of_packages(client: FlaskClient, commits: Commits, path: Path) -> None:
    with path.open("rb") as file:
        lines = file.readlines()[:3000]
    data = b"".join(lines)[: 1024 * 1024 - 1]
    assert_as_a_job(client, commits, data, "baselineCSV")


DATES = b"day;n;n\n01/02/2026;1;2\n28/02/2026;2;3\n\n29/02/2026;3;4\n30/04/2026;x\n"

CASES: dict[str, tuple[bytes, dict[str, str]]] = {
    "dates by a format": (DATES, {"date_column": "day", "date_format": "%d/%m/%Y"}),
    "no date of that form": (DATES, {"date_column": "day", "date_format": "%Y%m%d"}),
    "a column that is not there": (DATES, {"date_column": "dya"}),
    "a format without a column": (b"a,b\n1,2\n", {"date_format": "%d/%m/%Y"}),
    "UTF-16": ("date,n\r\n2026-01-01,é\r\n".encode("utf-16"), {}),
    "gzip": (gzip.compress(DATES), {"ragged": "pad"}),
    "gzip of UTF-16": (gzip.compress("date\tn\n2026-01-01\té\n".encode("utf-16")), {}),
    "a separator": (b"\xef\xbb\xbfsep=|\ndate|n\n2026-01-01|1\n", {"encoding": "latin-1"}),
    "refused rows that come back": (b"_line,_error,date,n\n7,why,2026-01-01,1\n8,why,soon,1\n", {}),
    "no header": (b"\n\n;;\n", {}),
    "a header that is no text": (b"d\xe9,n\n1,2\n", {}),
    "a header with a quote that is never closed": (b'a,"b\n1,2\n', {}),
    "a header alone": (b"a,b\n", {}),
    "no option at all": (b"a,b\n1,2\n", {"colour": "red"}),
    "a workbook": (b"PK\x03\x04[Content_Types].xml" + b"\0" * 40, {}),
    "gzip that is cut": (gzip.compress(DATES)[:-9], {}),
    "a bad callback": (DATES, {"callback_url": "ftp://x"}),
}


@pytest.mark.parametrize("case", CASES)
def test_of_a_case(client: FlaskClient, commits: Commits, case: str) -> None:
    data, options = CASES[case]
    assert_as_a_job(client, commits, data, "baselineCSV", **options)


def test_of_more_rows_than_are_shown(client: FlaskClient, commits: Commits) -> None:
    rows = b"".join(b"2026-01-%02d,%d\n" % (1 + number % 40, number) for number in range(9000))
    found = assert_as_a_job(client, commits, b"date,n\n" + rows, "baselineCSV")
    assert (len(found["rows"]), len(found["refused"])) == (SHOWN, SHOWN)
    assert found["counts"]["failed"] == 2025


PLAIN = (
    "date;name;note\r\n"
    '2026-01-01;Zoë;"says ""hi"";\r\nand more"\r\n'
    "soon;x;y\r\n"
    "\r\n"
    '2026-01-02;"no"w;z\r\n'
    "2026-01-03;日本;z\r"
    "2026-01-04;few\n"
    ";;\n"
    '2026-01-05;"never closed;z\n'
    "2026-01-06;last;z"
).encode()

WAYS = {
    "UTF-8": PLAIN,
    "UTF-16": PLAIN.decode().encode("utf-16"),
    "gzip": gzip.compress(PLAIN),
    "gzip of UTF-16": gzip.compress(PLAIN.decode().encode("utf-16-be").join([b"\xfe\xff", b""])),
    "a separator": b"sep=;\n" + PLAIN,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("quotes", ["strict", "lazy", "none"])
def test_of_a_file_that_is_cut_anywhere_it_is_the_beginning_of_what_is_said_of_the_whole(
    client: FlaskClient, way: str, quotes: str
) -> None:
    data = WAYS[way]
    options = {"delimiter": "semicolon", "quotes": quotes}
    whole = preview(client, data, **options)
    assert whole["counts"]["done"] > 1
    # How quotes are read is little of what a cut can spoil.
    step = 1 if quotes == "strict" else 3
    told = [
        assert_begins(preview(client, data[:cut], size=len(data), **options), whole)
        for cut in range(1, len(data), step)
    ]
    assert told[0] == 0
    assert max(told) > 0


@settings(deadline=None, max_examples=100, suppress_health_check=list(HealthCheck))
@given(data=files(), share=st.floats(0, 1), quotes=st.sampled_from(["strict", "lazy", "none"]))
def test_of_an_odd_file_that_is_cut_it_is_the_beginning_too(
    client: FlaskClient, data: bytes, share: float, quotes: str
) -> None:
    options: dict[str, Any] = {"delimiter": "comma", "quotes": quotes, "date_column": ""}
    cut = max(1, int(len(data) * share))
    whole = preview(client, data, **options)
    assert_begins(preview(client, data[:cut], size=len(data) + (cut == len(data)), **options), whole)


def assert_begins(part: dict[str, Any], whole: dict[str, Any]) -> int:
    """The part says nothing that the whole does not. Returns how many rows it has."""
    if part["error"] is not None and part["error"]["at"] == "sample":
        assert part["rows"] == part["refused"] == []
        return 0
    assert part["error"] in (None, whole["error"])
    assert part["header"] == whole["header"]
    for name in ("rows", "refused"):
        assert part[name] == whole[name][: len(part[name])]
    for name, count in part["counts"].items():
        assert count <= whole["counts"][name]
    assert set(part["warnings"]) <= set(whole["warnings"])
    done: int = part["counts"]["done"]
    return done
