"""A row of figures as a line, drawn on the server: an SVG without a script, whose colours are in the styles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 600.0, 100.0
"""Of the drawing, in its own units: it is stretched to the room that there is."""

ROOM_ABOVE = 1.05
"""The largest value stays so much below the upper edge, that its line is seen whole."""


@dataclass(frozen=True)
class Chart:
    """A line, and the area below it: points of SVG. `top` is the value at the upper edge."""

    line: str
    area: str
    top: float


def points(values: Sequence[float], *, width: float, height: float, top: float) -> str:
    """The points of a line from the left edge to the right one, for `<polyline>`. The upper edge stands for `top`."""
    step = width / max(1, len(values) - 1)
    return " ".join(f"{step * index:.1f},{height * (1 - value / top):.1f}" for index, value in enumerate(values))


def chart(values: Sequence[float], *, least_top: float = 1.0) -> Chart:
    """A chart of values from 0 on, the oldest first. The upper edge stands for `least_top`, or more if one is above."""
    top = max([least_top, *values]) * ROOM_ABOVE
    line = points(values, width=WIDTH, height=HEIGHT, top=top)
    end = WIDTH if len(values) > 1 else 0
    return Chart(line, f"0,{HEIGHT:.0f} {line} {end:.1f},{HEIGHT:.0f}", top)
