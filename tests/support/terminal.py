"""What a person sees on a terminal after a program has written to it: lines, with bars wiped where it wiped them."""

from __future__ import annotations

import re

COLUMNS = 200
"""So wide that nothing is folded."""

_PIECES = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|(\r)|(\n)|([^\x1b\r\n]+)|\x1b")


def seen(written: str) -> str:
    """The screen, without colours and without spaces at the ends of lines."""
    lines, row, column = [""], 0, 0
    for found in _PIECES.finditer(written):
        argument, code, back, down, text = found.groups()
        if back:
            column = 0
        elif down:
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif text:
            line = lines[row].ljust(column)
            lines[row] = line[:column] + text + line[column + len(text) :]
            column += len(text)
        elif code == "A":
            row = max(0, row - int(argument or 1))
        elif code == "K":
            lines[row] = "" if argument == "2" else lines[row][:column]
    return "\n".join(line.rstrip() for line in lines).rstrip("\n")
