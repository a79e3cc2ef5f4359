"""The blocks of code of a page: which of them are commands, what they are to print, and which are not run, and why."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SHELL = {"", "sh", "bash", "shell", "console"}
"""What a block of commands is called; one without a name, or indented, is one."""

CODE = {"python", "typescript", "toml"}
"""Blocks that a test of their own runs."""

SHOWN = {"mermaid", "text", "http", "json", "ini", "nginx", "sql", "yaml", "promql"}
"""Blocks that nobody can run: diagrams, answers, files of other programs."""

PROMPT = "$ "


@dataclass(frozen=True)
class Command:
    text: str
    output: str | None
    """What the page shows of its output; None if the page shows none."""
    line: int


@dataclass(frozen=True)
class Block:
    language: str
    text: str
    line: int
    notes: Mapping[str, str]
    """What the comments right above it say, which readers do not see: `<!-- name: text -->`."""

    @property
    def not_run(self) -> str | None:
        """Why it is not run."""
        return self.notes.get("not run")

    @property
    def run_by(self) -> str | None:
        """The test that runs it."""
        return self.notes.get("run by")

    @property
    def first(self) -> str | None:
        """A command that brings about what the block finds, such as jobs."""
        return self.notes.get("first")

    @property
    def differs(self) -> tuple[str, ...]:
        """Figures that are others each time."""
        return tuple(filter(None, self.notes.get("differs", "").split(", ")))

    @property
    def is_commands(self) -> bool:
        return self.language in SHELL

    def commands(self) -> list[Command]:
        """The commands after prompts, each with its output; without any prompt, the whole block is one command."""
        lines = self.text.splitlines()
        if not any(line.startswith(PROMPT) for line in lines):
            return [Command(self.text, None, self.line)]
        found: list[tuple[int, str, list[str]]] = []
        for number, line in enumerate(lines, self.line):
            if line.startswith(PROMPT):
                found.append((number, line.removeprefix(PROMPT), []))
            else:
                assert found, f"line {number}: output before the first command"
                found[-1][2].append(line)
        return [Command(text, "\n".join(output), number) for number, text, output in found]


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in order. A comment at the top, `all blocks run by: …`, holds for all of them."""
    lines = page.read_text().splitlines()
    whole = re.search(r"^<!-- all blocks run by: (.+?) -->$", page.read_text(), re.MULTILINE)
    of_all = {"run by": whole[1]} if whole else {}
    found: list[Block] = []
    notes, before_blank, number = dict(of_all), True, 0
    while number < len(lines):
        line = lines[number]
        start = number
        if fence := re.fullmatch(r"```(\w*)", line):
            number = lines.index("```", number + 1)
            text = "\n".join(lines[start + 1 : number])
            found.append(Block(fence[1], text, start + 2, notes))
            notes = dict(of_all)
        elif line.startswith("    ") and before_blank:
            while number + 1 < len(lines) and (lines[number + 1].startswith("    ") or not lines[number + 1].strip()):
                number += 1
            text = "\n".join(line[4:] for line in lines[start : number + 1]).rstrip()
            found.append(Block("", text, start + 1, notes))
            notes = dict(of_all)
        elif told := re.fullmatch(r"<!-- (not run|run by|first|differs): (.+) -->", line):
            notes[told[1]] = told[2]
        elif line.strip():
            notes = dict(of_all)
        before_blank = not lines[number].strip()
        number += 1
    return found
