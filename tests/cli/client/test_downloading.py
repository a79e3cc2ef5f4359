"""`failed`, `unprocessed`, `result`, `export`: at a real server, and at one whose connections break."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from jobsvc.cli.client.address import Address, Source
from jobsvc.cli.client.api import Api, Unreachable
from jobsvc.cli.client.downloads.downloading import write_file
from jobsvc.cli.client.downloads.fetching import fetch
from jobsvc.cli.client.downloads.targets import FileTarget, StreamTarget
from jobsvc.cli.client.exits import Ended, Exit
from tests.support.server import Server
from tests.support.shell import jobsvc

CSV = "date,n\n2026-03-01,1\n2026-03-02,2\nsoon,3\n"


@pytest.fixture(scope="module")
def imported(service: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A job with one refused row."""
    file = tmp_path_factory.mktemp("imported") / "x.csv"
    file.write_text(CSV)
    job_id = service.upload(file)
    service.wait_for(job_id, "succeeded")
    return job_id


@pytest.fixture(scope="module")
def exported(service: Server, imported: str) -> str:
    job_id = service.export("2026-03-01", "2026-03-02", job=imported)
    service.wait_for(job_id, "succeeded")
    return job_id


def test_refused_rows_are_printed_or_written_to_a_file_or_a_directory(
    service: Server, imported: str, tmp_path: Path
) -> None:
    whole = service.get_bytes(f"/jobs/{imported}/failed").decode()
    assert jobsvc(service.url, "failed", imported).out == whole
    assert jobsvc(service.url, "failed", imported, "-o", str(tmp_path / "a.csv")).exit == 0
    told = jobsvc(service.url, "failed", imported, "-o", str(tmp_path), "--json").json
    in_directory = tmp_path / f"{imported}-failed.csv"
    assert told == {"file": str(in_directory), "bytes": len(whole)}
    assert (tmp_path / "a.csv").read_text() == in_directory.read_text() == whole
    assert len(list(tmp_path.iterdir())) == 2


def test_unprocessed_rows_are_those_after_the_last_one(service: Server, imported: str) -> None:
    assert jobsvc(service.url, "unprocessed", imported).out == "date,n\n"


def test_a_download_that_is_not_there_leaves_no_file(url: str, imported: str, tmp_path: Path) -> None:
    for command, job_id in (("failed", "nope"), ("result", imported)):
        found = jobsvc(url, command, job_id, "-o", str(tmp_path / "x.csv"))
        assert (found.exit, list(tmp_path.iterdir())) == (5, [])


def test_a_file_that_can_not_be_written_is_told(url: str, imported: str, tmp_path: Path) -> None:
    for to in (f"{tmp_path}/none/x.csv", f"{tmp_path}/none/"):
        found = jobsvc(url, "failed", imported, "-o", to)
        assert (found.exit, found.err) == (
            1,
            f"Error: {to} can't be written: there is no directory {tmp_path}/none\n",
        )
        before = jobsvc(url, "export", "2026-03-01", "2026-03-01", "-o", to)
        assert (before.exit, before.out) == (1, "")
    target = FileTarget(tmp_path / ("x" * 300), "x")
    with pytest.raises(Ended, match="can't be written"):
        target.begin(None)


def test_a_result_goes_on_after_the_part_that_is_there(service: Server, exported: str, tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    path = f"/jobs/{exported}/result"
    whole = service.get_bytes(path)
    api = Api(Address.of(service.url, Source.OPTION), None)
    with api.stream(path, {}) as answer:
        etag = answer.headers["ETag"]
    api.close()
    # Told apart from what the service has, so that one sees who has written it.
    leave_part(file, service.url + path, etag, whole[:30].upper())
    assert jobsvc(service.url, "result", exported, "-o", str(file)).exit == 0
    assert file.read_bytes() == whole[:30].upper() + whole[30:]
    assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]
    assert jobsvc(service.url, "result", exported, "-o", str(file)).exit == 0
    assert file.read_bytes() == whole


def test_an_export_is_waited_for_and_written(service: Server, imported: str, tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    found = jobsvc(service.url, "export", "2026-03-01", "2026-03-01", "--job", imported, "-o", str(file))
    assert (found.exit, service.job(found.lines[0])["state"]) == (0, "succeeded"), found.err
    assert file.read_text().splitlines()[0] == "_job_id,_row,_date,date,n"
    assert len(file.read_text().splitlines()) == 2


def test_an_export_without_a_file_prints_its_job(service: Server) -> None:
    found = jobsvc(service.url, "export", "2026-03-01", "2026-03-02", "--for-spreadsheet", "--json")
    assert found.json["params"]["for_spreadsheet"] is True
    assert jobsvc(service.url, "export", "2026-03-01", "2026-03-02", "--watch").exit == 0


@pytest.mark.parametrize(
    ("args", "exit", "said"),
    [
        (("2026-03-02", "2026-03-01"), 2, "is after to"),
        (("soon", "2026-03-01"), 2, "from: 'soon' must be a date"),
        (("2026-03-01", "2026-03-01", "--job", "nope"), 5, "there is no job 'nope'"),
    ],
)
def test_an_export_that_is_refused_is_told(url: str, args: tuple[str, ...], exit: int, said: str) -> None:
    found = jobsvc(url, "export", *args)
    assert (found.exit, said in found.err) == (exit, True), found.err


def test_a_dash_stands_for_standard_output_which_then_has_the_file_alone(
    service: Server, imported: str, exported: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    whole = service.get_bytes(f"/jobs/{exported}/result").decode()
    assert jobsvc(service.url, "result", exported, "-o", "-").out == whole
    found = jobsvc(service.url, "export", "2026-03-01", "2026-03-02", "--job", imported, "-o", "-")
    assert found.out == whole
    assert "-createExport-" in found.err.splitlines()[0]
    assert list(tmp_path.iterdir()) == []


def test_the_end_of_an_export_counts_days(service: Server, imported: str) -> None:
    found = jobsvc(service.url, "export", "2026-03-01", "2026-03-02", "--job", imported, "--watch")
    assert "succeeded: 2 days done, 0 refused" in found.err


def test_a_part_that_the_disk_has_no_room_for_is_told_with_how_to_go_on(api: Api, tmp_path: Path) -> None:
    class Full(FileTarget):
        def write(self, data: bytes) -> None:
            super().write(data)
            raise Ended(Exit.ERROR, "no room")

    target = Full(tmp_path / "x", "x")
    with pytest.raises(Ended) as ended:
        write_file(api, "/x", target, tmp_path / "x", told_to_nobody)
    assert ended.value.hint == f"What has come is kept in {tmp_path}/x.part: the same command goes on with it."


class Breaking(ThreadingHTTPServer):
    """Sends `whole` and knows ranges, but breaks each connection off after `most` bytes."""

    whole = bytes(range(200))
    most = 90
    etag: str | None = '"one"'

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Breaking)
        self.ranges: list[str | None] = []


class _Breaking(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Breaking)
        asked = self.headers["Range"]
        server.ranges.append(asked)
        start = 0
        if asked and self.headers["If-Range"] == server.etag:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
        if start >= len(server.whole):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(server.whole)}")
        elif start:
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(server.whole) - 1}/{len(server.whole)}")
        else:
            self.send_response(200)
        if server.etag:
            self.send_header("ETag", server.etag)
        rest = server.whole[start:]
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest[: server.most])

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def breaking() -> Iterator[Breaking]:
    with Breaking() as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def api(breaking: Breaking) -> Iterator[Api]:
    found = Api(Address.of(f"http://127.0.0.1:{breaking.server_port}", Source.OPTION), None)
    yield found
    found.close()


def leave_part(file: Path, source: str, etag: str, data: bytes) -> None:
    """What a command leaves that was ended in the middle."""
    target = FileTarget(file, source)
    target.begin(etag)
    target.write(data)
    del target
    assert file.with_name(f"{file.name}.part").read_bytes() == data


def no_pause(_: float) -> None:
    pass


def told_to_nobody(_done: int, _size: int | None) -> None:
    pass


def test_a_broken_download_goes_on_where_it_broke_off(breaking: Breaking, api: Api, tmp_path: Path) -> None:
    file = tmp_path / "x"
    moved: list[tuple[int, int | None]] = []
    assert fetch(api, "/x", FileTarget(file, "x"), lambda *far: moved.append(far), no_pause) == 200
    assert file.read_bytes() == breaking.whole
    assert breaking.ranges == [None, "bytes=90-", "bytes=180-"]
    assert moved[-1] == (200, 200)


def test_a_connection_may_break_as_often_as_it_likes_if_each_brings_something(breaking: Breaking, api: Api) -> None:
    breaking.most = 10
    pauses: list[float] = []
    out = BytesIO()
    fetch(api, "/x", StreamTarget(out), told_to_nobody, pauses.append)
    assert (out.getvalue(), pauses) == (breaking.whole, [0.0] * 19)


def test_a_stream_goes_on_just_the_same(breaking: Breaking, api: Api) -> None:
    out = BytesIO()
    fetch(api, "/x", StreamTarget(out), told_to_nobody, no_pause)
    assert out.getvalue() == breaking.whole


def test_a_file_that_has_changed_is_begun_anew(breaking: Breaking, api: Api, tmp_path: Path) -> None:
    file = tmp_path / "x"
    leave_part(file, "x", '"another"', b"old")
    fetch(api, "/x", FileTarget(file, "x"), told_to_nobody, no_pause)
    assert file.read_bytes() == breaking.whole


def test_a_part_of_something_else_is_not_gone_on_with(breaking: Breaking, api: Api, tmp_path: Path) -> None:
    leave_part(tmp_path / "x", "elsewhere", '"one"', b"old")
    fetch(api, "/x", FileTarget(tmp_path / "x", "x"), told_to_nobody, no_pause)
    assert (tmp_path / "x").read_bytes() == breaking.whole


def test_a_part_that_is_whole_needs_nothing_more(breaking: Breaking, api: Api, tmp_path: Path) -> None:
    leave_part(tmp_path / "x", "x", '"one"', breaking.whole)
    assert fetch(api, "/x", FileTarget(tmp_path / "x", "x"), told_to_nobody, no_pause) == 200
    assert breaking.ranges == ["bytes=200-"]
    assert (tmp_path / "x").read_bytes() == breaking.whole


def test_without_a_tag_a_file_is_begun_anew_and_a_stream_ends(breaking: Breaking, api: Api, tmp_path: Path) -> None:
    breaking.etag = None

    def mended(_: float) -> None:
        breaking.most = 1000

    file = tmp_path / "x"
    fetch(api, "/x", FileTarget(file, "x"), told_to_nobody, mended)
    assert file.read_bytes() == breaking.whole
    breaking.most = 90
    with pytest.raises(Ended, match="broke off after 90 bytes"):
        fetch(api, "/x", StreamTarget(BytesIO()), told_to_nobody, no_pause)


def test_a_download_that_comes_no_further_is_given_up_and_its_part_kept(
    breaking: Breaking, api: Api, tmp_path: Path
) -> None:
    pauses: list[float] = []

    def slower(seconds: float) -> None:
        pauses.append(seconds)
        breaking.most = 0

    with pytest.raises(Unreachable):
        fetch(api, "/x", FileTarget(tmp_path / "x", "x"), told_to_nobody, slower)
    assert pauses == [0, 1, 2, 4, 8]
    assert not (tmp_path / "x").exists()
    assert (tmp_path / "x.part").read_bytes() == breaking.whole[:90]
    assert json.loads((tmp_path / "x.part.json").read_text()) == {"source": "x", "etag": '"one"'}
