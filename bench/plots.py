"""python -m bench.plots: the pictures of docs/performance.md, made of what the last full run has found."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

# No window is opened. With a salt of its own and no date, the same figures make the same file.
mpl.use("svg")
mpl.rcParams.update({"svg.hashsalt": "jobsvc", "svg.fonttype": "none", "axes.grid": True, "grid.alpha": 0.3})

from matplotlib import pyplot  # noqa: E402 (it takes what was set before)
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

from bench.measure import percentile  # noqa: E402
from bench.results import BEFORE, LAST, Results  # noqa: E402

HOPS = Path(__file__).with_name("hops.json")
"""What `python -m bench.pause_hops` has printed last; it is committed, too."""

PLOTS = Path(__file__).parents[1] / "docs" / "plots"

INCHES = (7.0, 3.6)


def main() -> int:
    try:
        now, before = Results.read(LAST), Results.read(BEFORE)
    except FileNotFoundError as error:
        print(f"there is no {error.filename}; a full run of `make bench` writes {LAST.name}", file=sys.stderr)
        return 1
    draw(now, before, PLOTS)
    draw_hops(json.loads(HOPS.read_text()), PLOTS / "pause-hops.svg")
    return 0


def draw(now: Results, before: Results, into: Path) -> list[Path]:
    """Make the plots for which there are figures; returns their files."""
    into.mkdir(parents=True, exist_ok=True)
    made = [
        _lines(into / "many-jobs.svg", "Rows a second of all jobs", "many jobs", now, before),
        _shares(into / "pauses.svg", "How long a pause takes while all slots are busy", "pauses", now),
        _lines(into / "paused-memory.svg", "Memory of paused jobs", "paused memory", now),
        _lines(into / "file-memory.svg", "Most memory while a file is processed", "file memory", now),
    ]
    return [path for path in made if path is not None]


def _lines(path: Path, title: str, name: str, now: Results, before: Results | None = None) -> Path | None:
    """A line through the points of a series, and through those of the design before, if it has some."""
    if not now.points(name):
        return None
    figure, axes = pyplot.subplots(figsize=INCHES, layout="constrained")
    for results, label, style in ((before, "before", "o--"), (now, "now", "o-")):
        points = () if results is None else results.points(name)
        if points:
            axes.plot(*zip(*sorted(points), strict=True), style, label=label)
    if before is not None and before.points(name):
        axes.legend()
    return _saved(path, title, name, now, figure, axes)


def _shares(path: Path, title: str, name: str, now: Results) -> Path | None:
    """Of each x, which share of its figures is not above so much."""
    points = now.points(name)
    if not points:
        return None
    figure, axes = pyplot.subplots(figsize=INCHES, layout="constrained")
    for group in sorted({x for x, _ in points}):
        figures = sorted(y for x, y in points if x == group)
        shares = [100 * (place + 1) / len(figures) for place in range(len(figures))]
        line = axes.step(figures, shares, where="post", label=f"{group:g} {now.named(name).x}")
        axes.axvline(percentile(figures, 99), color=line[0].get_color(), linestyle=":")
    axes.legend(title="dotted: the 99th percentile")
    return _saved(path, title, name, now, figure, axes, shares=True)


def draw_hops(told: dict[str, Any], path: Path) -> None:
    """A bar for each of two pauses, one after the other: on what way it is, from when to when."""
    examples = told["examples"]
    figure, axes = pyplot.subplots(figsize=INCHES, layout="constrained")
    for number, hop in enumerate(one["hop"] for one in examples["median"]):
        ways = [example[number] for example in examples.values()]
        lengths, begins = [way["end"] - way["begin"] for way in ways], [way["begin"] for way in ways]
        axes.barh(list(examples), lengths, left=begins, height=0.5, label=hop)
    axes.set_title(f"Two pauses in a fleet, hop by hop: the median and p99 of {told['pauses']}")
    axes.set_xlabel("ms since the request")
    axes.invert_yaxis()
    figure.legend(loc="outside lower center", ncols=2, fontsize="small")
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _saved(
    path: Path, title: str, name: str, now: Results, figure: Figure, axes: Axes, *, shares: bool = False
) -> Path:
    series = now.named(name)
    axes.set_title(title)
    axes.set_xlabel(series.y if shares else series.x)
    axes.set_ylabel("% of all" if shares else series.y)
    (axes.set_xlim if shares else axes.set_ylim)(0)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
    return path


if __name__ == "__main__":
    sys.exit(main())
