"""docs/command-line.md is what the commands say."""

from __future__ import annotations

from jobsvc.cli.client.exits import Exit
from jobsvc.cli.main import COMMANDS
from jobsvc.cli.manual import page
from tests.support.processes import ROOT

PAGE = ROOT / "docs" / "command-line.md"


def test_the_page_is_what_the_code_says() -> None:
    assert PAGE.read_text() == page(), "the page is out of date: make manual"


def test_the_page_has_every_command_and_every_exit_code() -> None:
    text = page()
    assert [name for name in COMMANDS if f"\n### jobsvc {name}" not in text] == []
    assert all(f"\n| {code:d} | " in text for code in Exit)
