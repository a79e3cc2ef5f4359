"""python -m bench [--quick] [subject …]: measures, prints one table, and exits 1 where a target is missed."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import (
    connections,
    export,
    fleet,
    import_speed,
    lists,
    many_jobs,
    paused_memory,
    resume,
    rollback,
    start,
    steering,
    upload,
    viewers,
)
from bench.measure import Stopwatch
from bench.report import Measured, broken
from bench.results import LAST, Results, here
from bench.scale import FULL, QUICK
from bench.workshop import Workshop
from tests.support import processes

SUBJECTS: dict[str, Callable[[Workshop], Iterator[Measured]]] = {
    "import_speed": import_speed.rows,
    "many_jobs": many_jobs.rows,
    "steering": steering.rows,
    "viewers": viewers.rows,
    "connections": connections.rows,
    "paused_memory": paused_memory.rows,
    "upload": upload.rows,
    "export": export.rows,
    "rollback": rollback.rows,
    "resume": resume.rows,
    "start": start.rows,
    "lists": lists.rows,
    "fleet": fleet.rows,
}


AS_STARTED = {"start", "paused_memory"}
"""Subjects whose servers are always started by their command."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="How fast the service is, and against what.")
    parser.add_argument("--quick", action="store_true", help="a fraction of the work: shows what is badly wrong")
    parser.add_argument(
        "--results",
        type=Path,
        metavar="FILE",
        help=f"where to write the figures; a full run of all subjects writes them to {LAST.name} beside this program",
    )
    parser.add_argument("subject", nargs="*", help=f"all, or some of: {', '.join(SUBJECTS)}")
    arguments = parser.parse_args()
    unknown = set(arguments.subject) - set(SUBJECTS)
    if unknown:
        parser.error(f"no such subject: {', '.join(sorted(unknown))}; there are {', '.join(SUBJECTS)}")
    results = Results(here("quick" if arguments.quick else "full"))
    whole = Stopwatch()
    # The quick form has no time for two dozen starts; what a start takes is measured as it is (`AS_STARTED`).
    starts = processes.forked() if arguments.quick else nullcontext()
    with TemporaryDirectory(prefix="jobsvc-bench-") as directory, starts:
        workshop = Workshop(Path(directory), QUICK if arguments.quick else FULL)
        for name in arguments.subject or SUBJECTS:
            _measure(name, workshop, results)
    print(f"in all {whole.seconds:.0f} s", file=sys.stderr)
    if arguments.results or not (arguments.quick or arguments.subject):
        results.write(arguments.results or LAST)
    print(results.table())
    return 1 if results.missed else 0


def _measure(name: str, workshop: Workshop, results: Results) -> None:
    """Add what a subject finds. If it fails, the others are measured all the same: they may take minutes each."""
    watch = Stopwatch()
    print(f"{name} … ", end="", file=sys.stderr, flush=True)
    try:
        with processes.by_command() if name in AS_STARTED else nullcontext():
            results.add(SUBJECTS[name](workshop))
    except Exception as error:
        traceback.print_exc()
        results.rows.append(broken(name, error))
    print(f"{watch.seconds:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
