"""How much the bench does: in full, or in a fraction of the time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """Sizes are in rows of flights.csv, or in whole copies of it (31 MB, 336,776 rows)."""

    rounds: int
    """Interleaved runs of a pair, of which the median counts; odd."""
    import_rounds: int
    """The same of one upload: what it is compared with is close to it, and each differs by a fifth from run to run."""
    import_rows: int
    crowd: int
    """Jobs that run at once."""
    crowd_rows: int
    """Rows of each of them: more than are done until it is paused."""
    steered_rows: int
    """Rows of the file of each job that is paused again and again, with 8 submitted; a quarter with 64."""
    pauses: int
    windows: int
    """Pairs of windows, without and with open pages; odd."""
    watched_rows: int
    """Rows of each of the files that are imported meanwhile."""
    paused_jobs: int
    memory_points: int
    """How often the memory is read while they become more; 3 at least."""
    quiet_seconds: float
    """For how long the processor time of paused jobs is counted."""
    copies: int
    """Copies of flights.csv in the large file."""
    first_items: int
    """Resumes that are timed, at each end of the file."""
    unfinished_jobs: int
    start_rounds: int
    """Odd, too."""
    silent_seconds: float
    """For how long clients keep the server waiting."""
    listed_jobs: int
    """Jobs among which a page is looked for."""
    looks: int
    """Times that each page is asked for."""
    plots: bool
    """Whether to measure what has no target, too."""


FULL = Scale(
    rounds=3,
    import_rounds=9,
    import_rows=336_776,
    crowd=64,
    crowd_rows=30_000,
    steered_rows=673_552,
    pauses=250,
    windows=15,
    watched_rows=336_776,
    paused_jobs=5_000,
    memory_points=10,
    quiet_seconds=10.0,
    copies=16,
    first_items=15,
    unfinished_jobs=10_000,
    start_rounds=3,
    silent_seconds=120.0,
    listed_jobs=1_000_000,
    looks=41,
    plots=True,
)

QUICK = Scale(
    rounds=1,
    import_rounds=1,
    import_rows=40_000,
    crowd=4,
    crowd_rows=30_000,
    steered_rows=40_000,
    pauses=5,
    windows=1,
    watched_rows=60_000,
    paused_jobs=30,
    memory_points=3,
    quiet_seconds=1.0,
    copies=2,
    first_items=3,
    unfinished_jobs=500,
    start_rounds=1,
    silent_seconds=2.0,
    listed_jobs=6_000,
    looks=5,
    plots=False,
)
