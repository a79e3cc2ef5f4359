"""What a pause passes in a fleet, from process to process, and how long it is on each way.

    python -m bench.pause_hops [--pauses 200] > hops.json

Pauses jobs as `bench/fleet.py` does, in a fleet whose processes stamp what happens (`stamping.py`). Prints JSON;
all times are in milliseconds:

* `hops`: each way with the percentiles of its time over all pauses. They follow one another, and add up to `total`.
* `told`: from the commit of the request until the worker's event loop has heard of it, beside these.
* `found`: of how many pauses the run found out by itself, at a checkpoint that was under way.
* `examples`: a pause of the median time and a slow one (`p99`): where each hop begins and ends after the request.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench import fleet
from bench.measure import percentile
from bench.scale import FULL
from bench.workshop import Workshop

HOPS = (
    "the request comes to its view",
    "what is asked is written and committed",
    "the run comes to its checkpoint",
    "its rows are inserted",
    "the checkpoint is saved and committed",
    "the web process hears of it, and reads the job",
    "the answer comes to the client",
)

MILLISECONDS = 1000.0


@dataclass(frozen=True)
class Stamp:
    at: float
    what: str
    more: Any


@dataclass(frozen=True)
class Hopped:
    """One pause."""

    at: tuple[float, ...]
    """The moments between the hops, from the request on; one more than there are hops."""
    told: float | None
    """When the worker heard of it."""

    @property
    def total(self) -> float:
        return (self.at[-1] - self.at[0]) * MILLISECONDS

    @property
    def found(self) -> bool:
        """Whether its checkpoint had begun before the worker heard of it."""
        return self.told is None or self.told > self.at[3]

    def hops(self) -> list[float]:
        return [(end - begin) * MILLISECONDS for begin, end in pairwise(self.at)]

    def as_json(self) -> list[dict[str, Any]]:
        moments = [round((at - self.at[0]) * MILLISECONDS, 2) for at in self.at]
        return [{"hop": hop, "begin": moments[at], "end": moments[at + 1]} for at, hop in enumerate(HOPS)]


class Stamps:
    """The stamps of all processes, by job."""

    def __init__(self, path: Path) -> None:
        lines = sorted(json.loads(line) for line in path.read_text().splitlines())
        entries = {more: key for _, what, key, more in lines if what == "began"}
        self._keys = {more: key for _, what, key, more in lines if what == "answered"}
        self._asked: dict[str, list[float]] = defaultdict(list)
        self._of: dict[int, list[Stamp]] = defaultdict(list)
        for at, what, key, more in lines:
            if what == "asked":
                self._asked[more].append(at)
            elif (of := entries.get(more) if what == "told" else key) is not None:
                self._of[of].append(Stamp(at, what, more))

    def hopped(self, pause: fleet.Pause) -> Hopped | None:
        """None if the run left for another reason."""
        asked = self._asked[pause.job_id]
        asked_at = asked[bisect_left(asked, pause.begun)]
        mine = self._of[self._keys[pause.job_id]]
        during = [stamp for stamp in mine if pause.begun <= stamp.at <= pause.ended]
        written, answered = _first(during, "written"), _first(during, "answered")
        paused = next((stamp.at for stamp in during if stamp.what == "committed" and stamp.more == "paused"), None)
        if written is None or answered is None:
            return None
        # The client may have its answer before the worker's thread goes on and stamps its commit.
        committed = min(paused or answered, answered)
        before = [stamp for stamp in mine if stamp.at <= committed]
        checkpoint = max((stamp.at for stamp in before if stamp.what == "checkpoint"), default=written)
        checkpoint = max(checkpoint, written)
        inserted = max((stamp.at for stamp in before if stamp.what == "inserted"), default=checkpoint)
        moments = (pause.begun, asked_at, written, checkpoint, max(inserted, checkpoint), committed, answered)
        return Hopped((*moments, pause.ended), _first(during, "told"))


def _first(stamps: Sequence[Stamp], what: str) -> float | None:
    return next((stamp.at for stamp in stamps if stamp.what == what), None)


def measured(workshop: Workshop, pauses: int) -> dict[str, Any]:
    stamps = workshop.fresh_path("stamps")
    os.environ["BENCH_STAMPS"] = str(stamps)
    made = fleet.pauses(workshop, pauses, JOBSVC_KINDS="bench.stamping:Ticks")
    read = Stamps(stamps)
    found = [one for pause in made if (one := read.hopped(pause)) is not None]
    ordered = sorted(found, key=lambda one: one.total)
    told = [(one.told - one.at[2]) * MILLISECONDS for one in found if one.told is not None]
    by_hop = zip(HOPS, zip(*(one.hops() for one in found), strict=True), strict=True)
    return {
        "pauses": len(found),
        "cores": len(os.sched_getaffinity(0)),
        "hops": [{"hop": hop, **_figures(times)} for hop, times in by_hop],
        "total": _figures([one.total for one in found]),
        "told": _figures([max(0.0, time) for time in told]),
        "found": sum(one.found for one in found),
        "examples": {
            "median": ordered[len(ordered) // 2].as_json(),
            "p99": ordered[max(0, -(-len(ordered) * 99 // 100) - 1)].as_json(),
        },
    }


def _figures(times: Sequence[float]) -> dict[str, float]:
    figures = {f"p{percent}": percentile(times, percent) for percent in (50, 90, 99)}
    return {name: round(time, 2) for name, time in {**figures, "mean": sum(times) / len(times)}.items()}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.pause_hops")
    parser.add_argument("--pauses", type=int, default=200)
    arguments = parser.parse_args()
    with TemporaryDirectory(prefix="jobsvc-bench-") as directory:
        print(json.dumps(measured(Workshop(Path(directory), FULL), arguments.pauses), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
