"""`POST /previews`: the beginning of a file, as it would be read, and nothing that stays."""

from __future__ import annotations

import gzip
import io
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from jobsvc.jobs.errors import TooManyPreviews
from jobsvc.kinds import Batch, CsvParams, CsvWork, Item, JobContext, Kind, KindParams, Refused, RowKind, Work
from jobsvc.kinds.preview import dialect, plain, reading
from jobsvc.kinds.preview import preview as whole_preview
from jobsvc.service import previews
from jobsvc.web.uploads.gunzip import PIECE_BYTES, Gunzip
from tests.support.api import Api
from tests.support.previews import ask, preview
from tests.support.requests import assert_problem, part, send, whole
from tests.support.waiting import TIMEOUT, Commits, poll

CSV = b"day;n\n2026-01-01;1\nsoon;2\n"

PACKED = gzip.compress(CSV, mtime=0)
PACKED_TWICE = gzip.compress(PACKED, mtime=0)

MIB = 1024 * 1024


def contents(data_dir: Path) -> dict[str, Any]:
    """All that a service keeps of files: its own files, and the rows of its tables. Who has looked is in the audit."""
    kept: dict[str, Any] = {
        str(path.relative_to(data_dir)): path.stat().st_size
        for path in data_dir.rglob("*")
        if not path.name.startswith("jobsvc.db")
    }
    with closing(sqlite3.connect(data_dir / "jobsvc.db")) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (name,) in tables:
            if name in ("audit", "sqlite_sequence"):
                continue
            kept[name] = connection.execute(f'SELECT * FROM "{name}"').fetchall()
    return kept


def test_nothing_is_kept_of_it(app: Flask, client: FlaskClient, commits: Commits, tmp_path: Path) -> None:
    api = Api(app, commits)
    api.succeeded(api.upload(b"team,m\nRed,Ann\n", "/createBulkTeam"))
    before = contents(tmp_path / "data")
    for data, options in [
        (CSV, {"date_column": "day"}),
        (CSV, {"date_column": "other"}),
        (b"team,m\nRed,x\nBlue,y\nBlue,z\n", {"kind": "bulkTeam"}),
        (PACKED, {"dry_run": "true"}),
        (b"%PDF-1.7", {}),
        (b"\n", {}),
    ]:
        ask(client, data, **options)
    assert contents(tmp_path / "data") == before


def test_nobody_who_writes_to_the_database_is_waited_for(app: Flask, client: FlaskClient, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "data" / "jobsvc.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        found = preview(client, b"team,m\nRed,x\n", kind="bulkTeam")
        other.execute("ROLLBACK")
    assert found["counts"]["done"] == 1


def test_it_is_asked_with_a_form_as_an_upload_is(client: FlaskClient) -> None:
    fields = [
        part("date_column", b"day"),
        part("file", CSV, "x.csv"),
        part("kind", b"baselineCSV"),
        part("size", b"52"),
    ]
    answer = send(client, whole(*fields), "/previews")
    assert answer.status_code == 200, answer.text
    found = answer.get_json()
    assert found["params"]["date_column"] == "day"
    assert (found["file"]["size_bytes"], found["file"]["whole"]) == (52, False)
    assert found["rows"] == [{"row": 1, "date": "2026-01-01", "data": {"day": "2026-01-01", "n": "1"}}]


def test_it_says_how_the_file_is_read_and_what_of_it_is_refused(client: FlaskClient) -> None:
    found = preview(client, b"sep=;\r\n" + CSV.replace(b"\n", b"\r\n") + b";\r\n", date_column="Day ")
    assert found["delimiter"] == {"character": ";", "name": "semicolon", "source": "file"}
    assert found["line_ends"] == {"lf": 0, "crlf": 5, "cr": 0}
    assert found["header"] == {"columns": ["day", "n"], "left_out": []}
    assert found["told"]["dates"]["column"] == "day"
    assert found["counts"] == {"done": 1, "failed": 1, "blank": 1}
    why = "day is 'soon', which doesn't begin with a date YYYY-MM-DD; date_format=%d/%m/%Y and the like read others"
    assert found["refused"] == [{"line": 4, "row": 2, "error": why, "text": "soon;2"}]
    assert found["reasons"] == [{"error": why, "count": 1, "line": 4}]
    assert found["warnings"] == ["the file names its delimiter: semicolon"]
    assert (found["error"], found["notes"]) == (None, [])


@pytest.mark.parametrize(
    ("given", "source"),
    [({}, "detected"), ({"delimiter": "semicolon"}, "parameter"), ({"delimiter": ";"}, "parameter")],
)
def test_it_says_where_the_delimiter_comes_from(client: FlaskClient, given: dict[str, str], source: str) -> None:
    assert preview(client, CSV, **given)["delimiter"]["source"] == source


def test_reasons_that_say_the_same_of_many_rows_are_counted_together(client: FlaskClient) -> None:
    rows = b"".join(b"%d.%d.2026,1\n" % (1 + number % 28, number % 12) for number in range(100)) + b"2026-01-01\n"
    found = preview(client, b"date,n\n2026-01-01,1\n" + rows)
    assert found["reasons"][0]["count"] >= 90
    assert sum(reason["count"] for reason in found["reasons"]) == 101
    assert {reason["line"] for reason in found["reasons"]} >= {103}


@pytest.mark.in_one_app
@pytest.mark.parametrize(
    ("data", "options", "suggestions"),
    [
        (b"day\n31/12/2026\n01/02/2026\n", {"date_column": "day"}, [{"date_format": "%d/%m/%Y"}]),
        (
            b"day\n01/12/2026\n01/02/2026\n",
            {"date_column": "day"},
            [{"date_format": "%d/%m/%Y"}, {"date_format": "%m/%d/%Y"}],
        ),
        (b"day\n2026-01-01\n", {"date_column": "day", "date_format": "%d/%m/%Y"}, [{"date_format": ""}]),
        (b"day\nsoon\n", {"date_column": "day"}, []),
        (b"day\n2026-01-01\nsoon\n", {"date_column": "day"}, []),
        (b"n,born,x\n1,2026-01-01,\n2,,1\n3,2026-01-02,\n", {}, [{"date_column": "born"}]),
        (b"n,born\n1,31.12.26\n2,1.1.26\n", {}, [{"date_column": "born", "date_format": "%d.%m.%y"}]),
        (b"n,born\n1,2026-01-01\n", {"date_column": ""}, []),
        (b"n,born\n1,12\n", {}, []),
    ],
)
def test_it_suggests_the_options_with_which_there_would_be_more_dates(
    client: FlaskClient, data: bytes, options: dict[str, str], suggestions: list[dict[str, str]]
) -> None:
    dates = preview(client, data, **options)["told"]["dates"]
    assert dates["suggestions"] == suggestions
    assert (dates["day_of_upload"] is None) is (dates["column"] is not None)
    for suggestion in suggestions:
        before = preview(client, data, **options)["counts"]["failed"]
        assert preview(client, data, **options | suggestion)["counts"]["failed"] < before or not options


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "nom;ville\nZoé;Besançon\nChloé;Nîmes\n"),
        ("cp1251", "имя;город\nИван;Москва\nОльга;Казань\n"),  # noqa: RUF001
        ("cp932", "名前;年\n山田太郎;３\n鈴木;東京都\n"),  # noqa: RUF001
        ("gb18030", "姓名;城市\n张伟;北京\n李娜;上海\n"),
    ],
)
def test_it_names_an_encoding_that_reads_what_the_given_one_does_not(
    client: FlaskClient, encoding: str, text: str
) -> None:
    data = text.encode(encoding)
    suggestions = preview(client, data)["encoding"]["suggestions"]
    assert suggestions[0]["encoding"] == encoding
    assert suggestions[0]["text"] in text.splitlines()
    read = preview(client, data, encoding=encoding)
    assert read["counts"] == {"done": 2, "failed": 0, "blank": 0}
    assert read["encoding"]["suggestions"] == []


def test_it_says_which_meaning_of_quotes_refuses_the_fewest_rows(client: FlaskClient) -> None:
    rows = b'1,"say \\"hi\\""\n2,"a, b"\n3,"2" pipe"\n'
    found = preview(client, b"n,what\n" + rows)
    assert found["quotes"] == {
        "mode": "strict",
        "refused": 2,
        "refused_rows": {"strict": 2, "lazy": 0, "none": 1},
        "suggestion": "lazy",
    }
    assert preview(client, b"n,what\n" + rows, quotes="lazy")["quotes"]["suggestion"] is None
    assert preview(client, b'n,"what\n1,2\n', delimiter="comma")["quotes"]["suggestion"] == "none"


def test_an_error_of_the_file_comes_with_what_is_known_of_it(client: FlaskClient) -> None:
    found = preview(client, CSV, date_column="dya")
    message = "there is no column 'dya' to take the date from; the header has day, n"
    assert found["error"] == {"at": "upload", "message": message, "parameter": "date_column"}
    assert found["header"]["columns"] == ["day", "n"]
    assert found["rows"][0]["data"] == {"day": "2026-01-01", "n": "1"}
    assert found["params"] is None
    found = preview(client, b"tam,m\nRed,Ann,Bob\n", kind="bulkTeam")
    assert found["error"]["at"] == "job"
    assert found["rows"] == [{"row": 1, "data": {"tam": "Red", "m": "Ann", "column_3": "Bob"}}]


@pytest.mark.in_one_app
@pytest.mark.parametrize(
    ("data", "options", "said"),
    [
        (b"PK\x03\x04[Content_Types].xml" + b"\0" * 40, {}, "an Excel workbook (xlsx)"),
        (b"PK\x03\x04" + b"\0" * 4096, {"size": 10**7}, "a zip archive"),
        (b"%PDF-1.7", {}, "a PDF"),
        (b'[{"a": 1}]', {"size": 1000}, "JSON"),
        (PACKED_TWICE, {}, "gzip within gzip"),
        (PACKED[:-9], {}, "the gzip file ends too early"),
        (b"", {}, "there is no file"),
        (gzip.compress(b"", mtime=0), {}, "the file is empty"),
    ],
)
def test_what_is_no_csv_is_refused_as_an_upload_is(
    client: FlaskClient, data: bytes, options: dict[str, Any], said: str
) -> None:
    assert said in assert_problem(ask(client, data, **options), 400)["detail"]


@pytest.mark.in_one_app
@pytest.mark.parametrize(
    ("options", "name", "said"),
    [
        ({"colour": "red"}, "colour", "baselineCSV has no such parameter"),
        ({"encoding": "klingon"}, "encoding", "is not a text encoding that is known"),
        ({"kind": "other"}, "kind", "'other' must be one of baselineCSV, bulkTeam, createExport"),
        ({"kind": "createExport"}, "kind", "jobs of createExport take no file"),
        ({"size": "much"}, "size", "must be the size of the whole file, a number of bytes"),
        ({"size": "3"}, "size", f"it is 3, but {len(CSV)} bytes of the file were sent"),
        ({"callback_url": "ftp://x"}, "callback_url", ""),
        ({"priority": "urgent"}, "priority", "must be one of low, normal, high"),
    ],
)
def test_what_is_wrong_with_the_request_is_a_400_that_names_it(
    client: FlaskClient, options: dict[str, str], name: str, said: str
) -> None:
    problem = assert_problem(ask(client, CSV, **options), 400, "invalid-parameter")
    assert problem["parameter"] == name
    assert said in problem["detail"]


@pytest.mark.parametrize("length", [MIB + 1, 3 * MIB])
def test_more_than_a_mebibyte_is_refused_with_the_way_to_send_a_part(client: FlaskClient, length: int) -> None:
    detail = assert_problem(ask(client, b"a" * length), 413)["detail"]
    assert "head -c 1048576 FILE | curl --data-binary @- 'URL/previews?size=SIZE'" in detail
    answer = send(client, whole(part("file", b"a" * length, "x.csv")), "/previews")
    assert_problem(answer, 413)


def test_a_mebibyte_is_taken_for_a_part_where_nobody_says_that_it_is_all(client: FlaskClient) -> None:
    data = (b"n\n" + b"1234567\n" * MIB)[:MIB]
    found = preview(client, data)
    assert (found["file"]["whole"], found["estimate"]) == (False, {"rows": None, "exact": False})
    assert preview(client, data, size=MIB)["file"]["whole"]


def test_the_rows_of_the_whole_file_are_estimated_from_its_size(client: FlaskClient, flights: Path) -> None:
    rows = 336_776
    for data in (flights.read_bytes(), gzip.compress(flights.read_bytes(), 1)):
        found = preview(client, data[:MIB], size=len(data), date_column="time_hour")
        assert found["file"]["read_bytes"] == MIB
        assert found["estimate"]["rows"] == pytest.approx(rows, rel=0.1)
        assert found["estimate"]["exact"] is False
        assert found["counts"]["failed"] == 0


def test_a_file_that_unpacks_to_a_gibibyte_is_looked_at_as_far_as_any(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = io.BytesIO()
    with gzip.open(packed, "wb", compresslevel=1) as file:
        file.write(b"a,b\n")
        for _ in range(200):
            file.write(b"1,%s\n" % (b"2" * MIB))
    unpacked: list[int] = []
    feed = Gunzip.feed

    def counted(self: Gunzip, data: bytes) -> Iterator[bytes]:
        for piece in feed(self, data):
            unpacked.append(len(piece))
            yield piece

    monkeypatch.setattr(Gunzip, "feed", counted)
    found = preview(client, packed.getvalue())
    assert found["file"]["format"] == "gzip"
    assert (found["file"]["read_bytes"], found["file"]["whole"]) == (MIB, False)
    assert MIB < sum(unpacked) <= MIB + 2 * PIECE_BYTES


def test_a_header_that_is_cut_is_not_taken_for_json(client: FlaskClient) -> None:
    data = b"[1],[2]\n1,2\n"
    for cut in range(1, len(data)):
        assert ask(client, data[:cut], size=len(data)).status_code == 200, cut
    # Where that is all, it is some.
    assert_problem(ask(client, b"[1]"), 400)


def test_a_preview_of_rows_that_take_long_ends_early_and_says_so(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "monotonic", iter(range(0, 10**6, 3)).__next__)
    found = preview(client, b"a,b\n" + b"1,2\n" * 20_000, max_failed="0")
    assert 0 < found["counts"]["done"] < 20_000
    assert "its rows take long to read" in found["notes"][0]
    assert found["estimate"] == {"rows": 20_000, "exact": False}


class Clock:
    """A clock that goes on by so many seconds whenever somebody looks at it."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@pytest.mark.parametrize(
    "data",
    [
        b"a,b\n" + b'"x\n' * 50_000,
        b"a,b\n" + b'"x,1\n' * 50_000,
        b"a,b\n" + b'"\xff,1\n' * 50_000,
        b"a,b\n" + b'"x"y,1\n' * 50_000,
        b"a,b\n" + b"x,1\n" * 50_000,
        b'"x\n' * 50_000,
    ],
)
def test_all_steps_of_a_preview_together_have_one_deadline(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    clock = Clock(step=0.1)
    for module in (whole_preview, reading, plain, dialect):
        monkeypatch.setattr(module, "monotonic", clock)
    found = preview(client, data)
    # Each step may have begun a batch by then.
    assert clock.now < whole_preview.SECONDS + 10 * clock.step
    assert found["header"] is None or found["counts"]["done"] + found["counts"]["failed"] > 0


def test_a_preview_for_which_no_time_is_left_still_shows_the_first_rows(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole_preview, "SECONDS", 0.0)
    found = preview(client, b"a,b\n" + b'1,2\n"x"y,3\n' * 5_000)
    assert found["rows"][0]["data"] == {"a": "1", "b": "2"}
    assert found["quotes"]["suggestion"] is None
    assert "the preview ends before the part that was sent does" in found["notes"][0]


class Waits(RowKind):
    """Its uploads are looked at until the test has seen it."""

    name = "waits"

    def __init__(self) -> None:
        self.begun: SimpleQueue[None] = SimpleQueue()
        self.go = Event()

    def prepare(self, params: Any, upload: Any) -> Any:
        self.begun.put(None)
        assert self.go.wait(TIMEOUT)
        return super().prepare(params, upload)

    def process(self, row: Any, item: Item) -> None: ...


class Breaks(RowKind):
    """Can't look at uploads."""

    name = "breaks"

    def prepare(self, params: Any, upload: Any) -> Any:
        raise NotImplementedError

    def process(self, row: Any, item: Item) -> None: ...


def test_few_previews_are_made_at_once_some_wait_shortly_and_all_others_are_asked_to_come_again(
    make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = Waits()
    app = make_app([kind, Breaks()])

    def status(name: str = kind.name, data: bytes = CSV) -> int:
        answer = ask(app.test_client(), data, kind=name)
        if answer.status_code == 503:
            assert answer.get_json()["type"] == "urn:jobsvc:too-many-previews"
            assert answer.headers["Retry-After"] == str(TooManyPreviews.retry_after)
        return answer.status_code

    monkeypatch.setattr(previews, "WAIT_SECONDS", TIMEOUT)
    with ThreadPoolExecutor(previews.AT_ONCE + previews.MAY_WAIT) as pool:
        made = [pool.submit(status) for _ in range(previews.AT_ONCE)]
        for _ in made:
            kind.begun.get(timeout=TIMEOUT)
        waiting = [pool.submit(status) for _ in range(previews.MAY_WAIT)]
        admitted = app.extensions["jobsvc"].previews._admitted
        poll(lambda: admitted._value == 0, TIMEOUT, "all places to be taken")
        # At once: its time to wait would be too long for the test.
        assert status("baselineCSV") == 503
        kind.go.set()
        assert [one.result(TIMEOUT) for one in made + waiting] == [200] * len(made + waiting)
        # What goes wrong gives its place back too.
        for _ in range(previews.AT_ONCE + previews.MAY_WAIT):
            # No mistake of a kind is in the contract.
            with pytest.raises(AssertionError, match="Internal Server Error"):
                status("breaks")

        while not kind.begun.empty():
            kind.begun.get()
        kind.go.clear()
        monkeypatch.setattr(previews, "WAIT_SECONDS", 0.05)
        made = [pool.submit(status) for _ in range(previews.AT_ONCE)]
        for _ in made:
            kind.begun.get(timeout=TIMEOUT)
        assert status("baselineCSV") == 503
        kind.go.set()
        assert [one.result(TIMEOUT) for one in made] == [200] * len(made)
        assert status("baselineCSV") == 200


def test_long_rows_are_fewer_rows_and_refused_ones_are_shortened(client: FlaskClient) -> None:
    found = preview(client, b"a,b\n" + b"".join(b"x,%s\n" % (b"y" * 300_000) for _ in range(3)), size=2 * MIB)
    assert len(found["rows"]) == 3
    wide = b",".join(b"column%d" % number for number in range(20_000))
    found = preview(client, wide + b"\n" + b"1\n" * 300, ragged="pad")
    assert (len(found["rows"]), found["counts"]["done"]) == (3, 300)
    found = preview(client, b"a,b\n" + b"y" * 300_000 + b"\n")
    assert found["refused"][0]["text"] == "y" * 999 + "…"


def test_a_part_that_ends_within_the_header_says_that_more_is_needed(client: FlaskClient) -> None:
    for data in (b"day,n", b'"day\n1', b"\xff", b"\xff\xfed\0a\0", PACKED[:11], b"\n\n"):
        found = preview(client, data, size=10_000)
        assert found["error"]["at"] == "sample", data
        assert found["error"]["message"].endswith("ends before its header does: send more of it")
        assert (found["header"], found["rows"], found["estimate"]["rows"]) == (None, [], None)


def test_a_delimiter_that_little_speaks_for_is_noted(client: FlaskClient) -> None:
    assert "detected from a small part" in preview(client, CSV, size=10**6)["notes"][0]
    assert preview(client, CSV, size=10**6, delimiter="semicolon")["notes"] == []
    assert preview(client, CSV)["notes"] == []
    assert preview(client, (CSV * 10_000)[:MIB], size=10**7)["notes"] == []


class Shout(RowKind):
    """Would call somebody."""

    name = "shout"

    def process(self, row: Any, item: Item) -> None:
        raise AssertionError("a preview calls nobody")


class Cents(Kind):
    """A whole batch at once, with a check of its own."""

    name = "cents"
    Params = CsvParams

    def open(self, context: JobContext) -> Work:
        return CentsWork(context)


class CentsWork(CsvWork):
    def batches(self) -> Iterator[Batch]:
        def cents(row: int, fields: list[str]) -> int:
            if not fields[1].isdecimal():
                raise Refused(f"{fields[1]!r} is no number of cents")
            return int(fields[1])

        return self.source.batches(cents)


class Pictures(Kind):
    """Takes a file that is no CSV."""

    name = "pictures"
    Params = KindParams

    def open(self, context: JobContext) -> Work:
        raise AssertionError("a preview does not open it")


@pytest.fixture
def own(make_app: Callable[..., Flask]) -> FlaskClient:
    return make_app([Shout(), Cents(), Pictures()]).test_client()


def test_of_a_kind_that_does_one_row_at_a_time_it_shows_the_rows_that_it_would_get(own: FlaskClient) -> None:
    found = preview(own, b"name\tcents\nann\t5\nbob\n", kind="shout")
    assert found["rows"] == [{"row": 1, "data": {"name": "ann", "cents": "5"}}]
    assert found["counts"] == {"done": 1, "failed": 1, "blank": 0}
    assert found["notes"] == ["which rows shout itself refuses is found by a job; try one with dry_run"]


def test_of_a_kind_that_reads_rows_by_itself_it_shows_what_that_refuses(own: FlaskClient) -> None:
    # Its `prepare` detects no delimiter, so its jobs have commas.
    found = preview(own, b"name,cents\nann,5\nbob,x\n\ncid,7\n", kind="cents")
    assert found["rows"] == [
        {"row": 1, "data": {"name": "ann", "cents": "5"}},
        {"row": 3, "data": {"name": "cid", "cents": "7"}},
    ]
    assert [(row["line"], row["error"]) for row in found["refused"]] == [(3, "'x' is no number of cents")]
    assert found["delimiter"]["source"] == "default"


def test_a_kind_whose_files_are_no_csv_has_no_preview(own: FlaskClient) -> None:
    problem = assert_problem(ask(own, CSV, kind="pictures"), 400, "invalid-parameter")
    assert "jobs of pictures read no CSV" in problem["detail"]


class Sized(CsvParams):
    size: str
    kind: str = "plain"


class OfASize(RowKind):
    """Has parameters of the names that the route itself has."""

    name = "of_a_size"
    Params = Sized

    def process(self, row: Any, item: Item) -> None:
        raise NotImplementedError


def test_a_kind_may_have_parameters_of_the_names_of_the_routes_own(make_app: Callable[..., Flask]) -> None:
    client = make_app(kinds=[OfASize()]).test_client()
    form = {"size": "large", "kind": "fancy", "file": (io.BytesIO(CSV), "a.csv")}
    found = client.post("/previews?kind=of_a_size&size=100", data=form).get_json()
    assert {"size": "large", "kind": "fancy"}.items() <= found["params"].items()
    assert (found["kind"], found["file"]["size_bytes"]) == ("of_a_size", 100)
    # Where the query does not say them, they are the route's own as ever.
    form = {"size": str(len(CSV)), "kind": "bulkTeam", "file": (io.BytesIO(CSV), "a.csv")}
    assert client.post("/previews", data=form).get_json()["kind"] == "bulkTeam"
