"""The commands of the pages do what the pages show: each is run, on a terminal, against a real server."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.blocks import CODE, SHOWN, Block, Command, blocks
from tests.support.flights import make_package_index
from tests.support.matching import Bound
from tests.support.pages import DOCS, README
from tests.support.processes import ROOT
from tests.support.server import Server
from tests.support.session import Session
from tests.support.waiting import poll

PAGES = [README, *sorted(DOCS.glob("*.md"))]

REPEATABLE = re.compile(
    r"curl -s ['\"]?localhost(?!.*(?:updateTask| -X | -d | -F ))"
    r"|jobsvc (show|list|events|log|watch|pause|terminate|rollback) "
    r"|curl ['\"]localhost\S*/updateTask\?\S*action=(stop|terminate)"
)
"""Commands that look, or that do no harm when they are repeated: they are, until a job is where the page shows it."""

REPEAT_SECONDS = 60.0

NAMES = [str(path.relative_to(ROOT)) for path in PAGES]


def is_run_here(block: Block) -> bool:
    return block.is_commands and block.not_run is None and block.run_by is None


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[Path, Server]]:
    """A directory as it is after `make` in a clone: with `.venv`, and a service with its data in `var`."""
    clone = tmp_path / "clone"
    clone.mkdir()
    (clone / ".venv").symlink_to(ROOT / ".venv" if (ROOT / ".venv").exists() else sys.prefix)
    (tmp_path / "backups").mkdir()
    server = Server(clone / "var", DATABASE_URL="").start()
    (clone / ".env").write_text(f"PORT={server.port}\nJOBSVC_MIN_FREE_BYTES=0\n")
    yield clone, server
    server.kill()


def environ(clone: Path, server: Server) -> dict[str, str]:
    """Of somebody who has just opened a terminal. pip gets its packages from this machine."""
    return {
        "HOME": str(clone.parent),
        "LANG": "C.UTF-8",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        # The tests may run in another clone than the one whose command is installed.
        "PYTHONPATH": str(ROOT),
        "JOBSVC_URL": server.url,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(clone.parent / "index"),
    }


@pytest.mark.parametrize("page", [page for page in PAGES if any(map(is_run_here, blocks(page)))], ids=lambda p: p.name)
def test_the_commands_of_a_page_do_what_it_shows(page: Path, place: tuple[Path, Server]) -> None:
    clone, server = place
    found = blocks(page)
    if any("pip download" in block.text for block in found):
        make_package_index(clone.parent / "index")
    bound = Bound()
    session = Session(clone, environ(clone, server))
    try:
        for block in filter(is_run_here, found):
            first = [] if block.first is None else [Command(block.first, None, block.line)]
            bound.forget_figures()
            for command in [*first, *block.commands()]:
                text = re.sub(r"(localhost|127\.0\.0\.1):8081", rf"\1:{server.port}", bound.filled(command.text))
                text = text.replace("/backups/", f"{clone.parent}/backups/")
                check(session, page, command, text, block, bound)
    finally:
        session.close()


def check(session: Session, page: Path, command: Command, text: str, block: Block, bound: Bound) -> None:
    """Run a command, and compare what it prints with what the page shows."""
    where = f"{page.relative_to(ROOT)}, line {command.line}: {command.text}"
    done = session.run(text)
    if command.output is None:
        assert done.exit == 0, f"{where}\nended with {done.exit}, and printed\n{done.printed}"
        return

    def fits() -> bool:
        nonlocal done
        if bound.matches(command.output or "", done.printed, block.differs):
            return True
        if REPEATABLE.match(command.text):
            done = session.run(text)
        return False

    try:
        poll(fits, REPEAT_SECONDS if REPEATABLE.match(command.text) else 0.0, "the output that the page shows")
    except AssertionError:
        pytest.fail(f"{where}\nprinted\n{done.printed}\nwhere the page shows\n{command.output}", pytrace=False)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_block_is_run_or_says_why_not(page: Path) -> None:
    for block in blocks(page):
        where = f"{page.relative_to(ROOT)}, line {block.line}"
        assert block.is_commands or block.language in CODE | SHOWN, f"{where}: what is a block of {block.language!r}?"
        if block.run_by is not None:
            test = ROOT / block.run_by
            assert test.is_file(), f"{where}: {block.run_by} is not there"
            assert page.name in test.read_text(), f"{where}: {block.run_by} does not name the page"
        elif block.language in CODE:
            assert block.not_run, f"{where}: no test is named that runs this block"
        elif not block.is_commands:
            assert not re.search(r"^\$ ", block.text, re.MULTILINE), f"{where}: these are commands"


def test_few_blocks_are_not_run() -> None:
    reasons = [f"{page.name}: {block.not_run}" for page in PAGES for block in blocks(page) if block.not_run is not None]
    assert len(reasons) <= 20, "\n".join(reasons)
    assert all(len(reason) > len("README.md: needs x") for reason in reasons)
