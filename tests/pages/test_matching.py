"""How what commands print is compared with what pages show, and how the blocks of a page are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.blocks import blocks
from tests.support.matching import Bound
from tests.support.session import Session
from tests.support.terminal import seen

ONE, OTHER = "Jon-Doe-bulkTeam-1795579008-527107315132", "Jon-Doe-bulkTeam-1795579009-1"


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("a\nb", "a\nb"),
        ("…", ""),
        ("…", "a\nb"),
        ("…\nb", "a\na\nb"),
        ("…\nb", "b"),
        ("a\n…\nb", "a\nb"),
        ("a\n…", "a"),
        ("a\n…", "a\nb\nc"),
        ('{…"a":1,…}', '{"b":2,"a":1,"c":3}'),
        (f"id: {ONE}", f"id: {OTHER}"),
        ("at 2026-01-31T10:00:00Z", "at 2027-11-30T23:59:59.123Z"),
        ("a second:     186757.4", "a second:     3"),
        ('"rate": 41610.6,', '"rate": 7,'),
        ("ID   STATE\nx    running", "ID        STATE\nx         running"),
    ],
)
def test_what_is_as_shown_passes(shown: str, printed: str) -> None:
    assert Bound().matches(shown, printed)


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("a", "b"),
        ("a", "a\nb"),
        ("", "a"),
        ("a\n…\nb", "a\nbb"),
        ("…\nb", "a\nbc"),
        ("done: 5", "done: 6"),
        ('"done":5', '"done":56'),
        (f"id: {ONE}", "id: 7"),
        (f"{ONE} {ONE}", f"{ONE} {OTHER}"),
        ("at 2026-01-31T10:00:00Z", "at noon"),
        ('"rate": 41610.6,', '"rate": null,'),
        ("a  b", "a b"),
    ],
)
def test_what_is_not_as_shown_does_not(shown: str, printed: str) -> None:
    assert not Bound().matches(shown, printed)


def test_an_id_stands_for_the_same_job_on_the_whole_page() -> None:
    bound = Bound()
    assert bound.matches(f"id: {ONE}", f"id: {OTHER}")
    bound.forget_figures()
    assert bound.filled(f"ID={ONE}") == f"ID={OTHER}"
    assert bound.matches(ONE, OTHER)
    assert not bound.matches(ONE, ONE)


def test_a_figure_that_differs_is_a_number_the_same_in_the_whole_block_and_not_nothing() -> None:
    bound = Bound()
    assert not bound.matches("done: 212000", "done: 0", ["212000"])
    assert not bound.matches("done: 212000", "done: x", ["212000"])
    assert bound.matches("done: 212000", "done: 100", ["212000"])
    assert not bound.matches("done: 212000", "done: 101", ["212000"])
    bound.forget_figures()
    assert bound.matches("done: 212000", "done: 101", ["212000"])


def test_a_terminal_shows_what_is_left_once_a_bar_is_wiped() -> None:
    written = "\x1b[?25l\r\x1b[2Kjob \x1b[91m━━\x1b[0m 5%\n\x1b[?25h\r\x1b[1A\x1b[2Kdone\n\x1b[1mbold\x1b[0m  \n"
    assert seen(written) == "done\nbold"


def test_blocks_are_read_with_what_is_said_of_them(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A page\n\n<!-- differs: 1, 2 -->\n<!-- first: true -->\n\n    $ one\n    1\n\n    2\n    $ two\n\n"
        "<!-- not run: why -->\n\nprose\n\n    three\n    four\n\n```text\nfive\n```\n\n* a list\n    goes on\n"
    )
    first, second, third = blocks(page)
    assert (first.differs, first.first, first.line) == (("1", "2"), "true", 6)
    assert [(command.text, command.output) for command in first.commands()] == [("one", "1\n\n2"), ("two", "")]
    # A comment belongs to the block right below it.
    assert (second.not_run, [command.text for command in second.commands()]) == (None, ["three\nfour"])
    assert (third.language, third.text, third.is_commands) == ("text", "five", False)


def test_a_session_keeps_variables_and_exit_codes_and_is_a_terminal(tmp_path: Path) -> None:
    session = Session(tmp_path, {"PATH": "/usr/bin:/bin"})
    try:
        assert session.run("a=5; false").exit == 1
        assert session.run("echo $? $a").printed == "1 5"
        assert session.run("test -t 1 && test -t 2 && ! test -t 0").exit == 0
        assert session.run("echo out; echo err >&2").printed == "out\nerr"
        assert session.run("cat").printed == ""
    finally:
        session.close()
