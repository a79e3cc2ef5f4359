"""What commands print, and where they can't."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from jobsvc.cli.client.downloads.targets import StreamTarget
from jobsvc.cli.client.exits import Ended, Exit
from jobsvc.cli.client.output import Output, shown

ID = "Jon-Doe-baselineCSV-1795657894-928884075210"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({}, "-"),
        ([], "-"),
        (None, "-"),
        ("", "-"),
        (False, "no"),
        (0, "0"),
        ({"date_column": "day"}, "date_column=day"),
    ],
)
def test_only_nothing_is_shown_as_a_dash(value: object, text: str) -> None:
    assert shown(value) == text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_narrow_terminal_no_id_and_no_number_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "60")
    Output(as_json=False).table(
        ("id", "state", "done", "file"), [(ID, "succeeded", 32000, "a long name of a file.csv")]
    )
    _, line, *_ = terminal.getvalue().splitlines()
    assert line.split()[:3] == [ID, "succeeded", "32,000"]


def test_output_that_can_t_be_written_is_told() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        target = StreamTarget(full)
        target.begin(None)
        with pytest.raises(Ended) as ended:
            target.write(b"x")
    assert ended.value.exit_code == Exit.ERROR
    assert "the output can't be written: No space left on device" in str(ended.value)
