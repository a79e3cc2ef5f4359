"""Whether what a command printed is what a page shows, where ids, times and rates are others each time."""

from __future__ import annotations

import re
from collections.abc import Iterable

ID = r"[\w.]+(?:-[\w.]+)*-(?:\w+)-\d{10}-\d+|(?:pause|resume|terminate|rollback)-\d{10}-\d+"
MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"
MINUTE = r"\d{4}-\d\d-\d\d \d\d:\d\d"
NUMBER = r"-?[\d,]*\d(?:\.\d+)?"
FIGURE = rf"(?!0(?:\.0)?(?![\d.])){NUMBER}"
"""A number that is not nothing: a page that shows how far a job is shows one that has begun."""

_RATES = (
    rf'(?P<rate>(?<="rate": ){NUMBER}|(?<="rate":){NUMBER}|(?<="eta_seconds": ){NUMBER}|(?<="eta_seconds":){NUMBER}'
    rf"|(?<=^a second:  ){NUMBER}|(?<=^time left:  ){NUMBER}|{NUMBER}(?=(?: \w+)?/s))"
)


class Bound:
    """What stands in the place of the ids and figures that a page shows, in this run of it."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}
        self._figures: dict[str, str] = {}

    def filled(self, command: str) -> str:
        """A command of the page, with this run's ids."""
        for shown, found in self._ids.items():
            command = command.replace(shown, found)
        return command

    def forget_figures(self) -> None:
        """Figures stand for the same thing within a block only: 6.3 may be two different things on a page."""
        self._figures.clear()

    def matches(self, shown: str, printed: str, differs: Iterable[str] = ()) -> bool:
        """Whether `printed` is what the page shows. `…` stands for anything, alone on a line for any lines.

        An id, or one of the figures that differ, stands for the same thing wherever it is shown again.
        """
        names: dict[str, str] = {}
        pattern = self._pattern(spaced(shown), sorted(differs, key=len, reverse=True), names)
        found = re.fullmatch(pattern, spaced(printed), re.DOTALL)
        if found is None:
            return False
        for text, name in names.items():
            (self._ids if re.fullmatch(ID, text) else self._figures)[text] = found[name]
        return True

    def _pattern(self, shown: str, differs: list[str], names: dict[str, str]) -> str:
        figures = "|".join(rf"(?<![\d.]){re.escape(figure)}(?![\d])" for figure in differs) or r"(?!)"
        pieces = re.compile(
            rf"(?P<any_lines>^[ ]*…$\n?)|(?P<any>…)|(?P<id>{ID})|(?P<moment>{MOMENT})|(?P<minute>{MINUTE})"
            rf"|(?P<figure>{figures})|{_RATES}",
            re.MULTILINE,
        )
        pattern, end = "", 0
        for piece in pieces.finditer(shown):
            pattern += re.escape(shown[end : piece.start()])
            end = piece.end()
            match piece.lastgroup:
                case "any_lines":
                    if end < len(shown):
                        pattern += r"(?:.*\n)?"
                    else:
                        # Without further lines, the one before has no line end.
                        pattern = pattern.removesuffix("\\\n") + r"(?:\n.*)?" if pattern else ".*"
                case "any":
                    pattern += ".*?"
                case "moment":
                    pattern += MOMENT
                case "minute":
                    pattern += MINUTE
                case "rate":
                    pattern += NUMBER
                case "id":
                    pattern += self._bound(piece[0], ID, names)
                case _:
                    pattern += self._bound(piece[0], FIGURE, names)
        return pattern + re.escape(shown[end:])

    def _bound(self, text: str, any_such: str, names: dict[str, str]) -> str:
        known = self._ids | self._figures
        if text in known:
            return re.escape(known[text])
        if text in names:
            return rf"(?P={names[text]})"
        names[text] = f"n{len(names)}"
        return rf"(?P<{names[text]}>{any_such})"


def spaced(text: str) -> str:
    """Text in which columns stand two spaces apart, however wide they are."""
    return "\n".join(re.sub(r"(?<=\S) {2,}", "  ", line).rstrip() for line in text.splitlines())
