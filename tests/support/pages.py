"""The pages of the documentation: README.md, CONTRIBUTING.md and docs/, their tables, and their blocks."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.processes import ROOT

README = ROOT / "README.md"
DOCS = ROOT / "docs"


def section(path: Path, heading: str) -> str:
    """What stands below a heading, up to the next heading of the same depth or a higher one."""
    depth = len(heading) - len(heading.lstrip("#"))
    _, found, rest = path.read_text().partition(f"\n{heading}\n")
    assert found, f"{path.relative_to(ROOT)} has no heading {heading!r}"
    return re.split(rf"^#{{1,{depth}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def table(text: str) -> list[dict[str, str]]:
    """The rows of the first table of a text, each by the names of its columns."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) > 2, "no table"
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    head, _, *body = rows
    return [dict(zip(head, row, strict=True)) for row in body]


def quoted(text: str) -> list[str]:
    """What stands between backticks."""
    return re.findall(r"`([^`]+)`", text)
