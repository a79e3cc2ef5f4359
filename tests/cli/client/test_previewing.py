"""`preview`, at a real server."""

from __future__ import annotations

import gzip
import json
import subprocess
from pathlib import Path

import pytest

from jobsvc.cli.client.previewing import MOST_BYTES
from tests.support.server import Server
from tests.support.shell import jobsvc, start

GOOD = "day;who\n31/01/2026;Ann\n01/02/2026;Bob\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "große Datei.csv"
    path.write_text(GOOD)
    return path


def test_preview_shows_how_a_file_is_read_its_rows_and_how_to_upload_it(service: Server, file: Path) -> None:
    before = service.get("/jobs?limit=1000")["jobs"]
    options = ("-p", "date_column=day", "-p", "date_format=%d/%m/%Y")
    found = jobsvc(service.url, "preview", str(file), *options)
    assert found.exit == 0, found.err
    assert "delimiter: semicolon (detected)" in found.lines
    assert "dates:     from day, as %d/%m/%Y" in found.lines
    assert found.lines[-3:-1] == ["1\t2026-01-31\t31/01/2026\tAnn", "2\t2026-02-01\t01/02/2026\tBob"]
    assert f"To upload it: jobsvc upload '{file}' -p date_column=day -p date_format=%d/%m/%Y" in found.err
    assert service.get("/jobs?limit=1000")["jobs"] == before


@pytest.mark.parametrize(
    ("text", "options", "code", "said"),
    [
        ("date,n\n2026-01-01,1\nsoon,2\n", (), 3, "1\t3\tdate is 'soon'"),
        ("date,n\nsoon,2\n", (), 4, "error: the job would fail: the only row was refused"),
        ("tam,n\nx,2\n", ("--kind", "bulkTeam"), 4, "the first column must be called 'team'"),
        ("n\n1\n", ("-p", "date_column=day"), 6, "error: the upload would be refused: there is no column 'day'"),
        ("n\n1\n", ("-p", "colour=red"), 2, "Error: colour: baselineCSV has no such parameter"),
        ("%PDF-1.7", (), 6, "Error: the file is a PDF, not CSV"),
        ("n\n1\n", ("--kind", "other"), 5, "Error: there is no kind 'other'; there are "),
        ("", (), 6, "Error: there is no file"),
    ],
)
def test_the_exit_code_says_what_would_become_of_it(
    url: str, tmp_path: Path, text: str, options: tuple[str, ...], code: int, said: str
) -> None:
    file = tmp_path / "x.csv"
    file.write_text(text)
    found = jobsvc(url, "preview", str(file), *options)
    assert found.exit == code
    assert said in found.out + found.err
    as_json = jobsvc(url, "preview", str(file), *options, "--json")
    assert as_json.exit == code
    assert json.loads(as_json.out or as_json.err)["error"] is not None or code == 3


def test_suggestions_are_options_that_can_be_given(url: str, tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_bytes('day,what\n1.2.2026,"5" pipe"\n2.2.2026,Zoé\n'.encode("cp1252"))
    found = jobsvc(url, "preview", str(file))
    tried = [line for line in found.err.splitlines() if line.startswith("try ")]
    assert tried[0].startswith("try -p encoding=cp1252: a line reads '2.2.2026,Zoé' then")
    assert tried[-1].startswith("try -p quotes=lazy: it refuses 1 rows of those looked at, and not 2")
    better = jobsvc(url, "preview", str(file), "-p", "encoding=cp1252", "-p", "quotes=lazy")
    assert better.exit == 0
    assert "try -p date_column=day -p date_format=%d.%m.%Y" in better.err


def test_only_the_first_mebibyte_is_sent_with_the_size_of_all(url: str, tmp_path: Path) -> None:
    file = tmp_path / "large.csv"
    file.write_bytes(b"n,text\n" + b"1,abcdefg\n" * 1_000_000)
    found = jobsvc(url, "preview", str(file), "--json").json["file"]
    assert (found["sent_bytes"], found["size_bytes"], found["whole"]) == (MOST_BYTES, 10_000_007, False)
    told = jobsvc(url, "preview", str(file))
    assert "rows in all: about 1,000,000" in told.lines
    packed = tmp_path / "large.csv.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    assert "file:        gzip, " in jobsvc(url, "preview", str(packed)).out


@pytest.mark.parametrize(
    ("data", "size", "whole"),
    [
        (b"n\n1\n", 4, True),
        (b"n\n" + b"1\n" * (MOST_BYTES // 2 - 1), MOST_BYTES, True),
        (b"n\n" + b"1\n" * MOST_BYTES, None, False),
    ],
    ids=["little", "as much as is sent", "more"],
)
def test_a_file_may_come_from_a_pipe_whose_size_nobody_knows(
    url: str, data: bytes, size: int | None, whole: bool
) -> None:
    asking = start(url, "preview", "-", "--json", stdin=subprocess.PIPE)
    assert asking.stdin is not None
    out, errors = asking.communicate(data.decode())
    assert asking.returncode == 0, errors
    found = json.loads(out)["file"]
    assert (found["sent_bytes"], found["size_bytes"]) == (min(len(data), MOST_BYTES), size)
    assert found["whole"] is whole


def test_columns_keep_their_names_and_what_steers_a_terminal_is_shown_as_text(url: str, tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("Straße,_row\n\x1b[31mred,2\n")
    found = jobsvc(url, "preview", str(file), "-p", "date_column=")
    assert "Straße" in found.out
    assert "\x1b" not in found.out
    assert "\\x1b[31mred" in found.out
