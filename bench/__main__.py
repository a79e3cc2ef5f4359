"""python -m bench [--quick] [subject …]: measures, prints one table, and exits 1 where a target is missed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import connections, fleet, import_speed, many_jobs, paused_memory, resume, start, steering, upload, viewers
from bench.measure import Stopwatch
from bench.report import Row, table
from bench.scale import FULL, QUICK
from bench.workshop import Workshop

SUBJECTS: dict[str, Callable[[Workshop], Iterator[Row]]] = {
    "import_speed": import_speed.rows,
    "many_jobs": many_jobs.rows,
    "steering": steering.rows,
    "viewers": viewers.rows,
    "connections": connections.rows,
    "paused_memory": paused_memory.rows,
    "upload": upload.rows,
    "resume": resume.rows,
    "start": start.rows,
    "fleet": fleet.rows,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="How fast the service is, and against what.")
    parser.add_argument("--quick", action="store_true", help="a fraction of the work: shows what is badly wrong")
    parser.add_argument("subject", nargs="*", help=f"all, or some of: {', '.join(SUBJECTS)}")
    arguments = parser.parse_args()
    unknown = set(arguments.subject) - set(SUBJECTS)
    if unknown:
        parser.error(f"no such subject: {', '.join(sorted(unknown))}; there are {', '.join(SUBJECTS)}")
    rows: list[Row] = []
    try:
        with TemporaryDirectory(prefix="jobsvc-bench-") as directory:
            workshop = Workshop(Path(directory), QUICK if arguments.quick else FULL)
            for name in arguments.subject or SUBJECTS:
                watch = Stopwatch()
                print(f"{name} … ", end="", file=sys.stderr, flush=True)
                rows.extend(SUBJECTS[name](workshop))
                print(f"{watch.seconds:.0f} s", file=sys.stderr)
    finally:
        # Also when a measurement broke: what was measured before it may have taken minutes.
        print(table(rows))
    return 1 if any(row.ok is False for row in rows) else 0


sys.exit(main())
