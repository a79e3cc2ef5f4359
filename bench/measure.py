"""Reading clocks, processes and rows of figures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

KIB = 1024
MIB = 1024 * 1024

_RESET_PEAK = "5"
"""What makes the kernel forget a process's peak memory, written to its clear_refs (proc(5))."""

_UTIME, _STIME = 11, 12
"""Places in /proc/<pid>/stat, counted behind the command's name (proc(5))."""


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._begun = perf_counter()

    @property
    def seconds(self) -> float:
        return perf_counter() - self._begun


def memory(pid: int) -> int:
    """Bytes of memory that a process has (RSS)."""
    return _status(pid, "VmRSS")


def peak_memory(pid: int) -> int:
    """The most bytes of memory that a process has had since `forget_peak` (or since it began)."""
    return _status(pid, "VmHWM")


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text(_RESET_PEAK)


def _status(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * KIB
    raise LookupError(field)


def cpu_seconds(pid: int) -> float:
    """Processor time that all threads of a process have used, to 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[_UTIME]) + int(fields[_STIME])) / os.sysconf("SC_CLK_TCK")


def percentile(figures: Sequence[float], percent: float) -> float:
    """The smallest figure that at least `percent` of all are not above (nearest rank)."""
    ordered = sorted(figures)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(0, int(rank) - 1)]


def middle_pair(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The pair (ours, reference) whose ratio is the median: both figures from one round, as the machine was then."""
    ordered = sorted(pairs, key=lambda pair: pair[0] / pair[1])
    return ordered[len(ordered) // 2]


def middle_pair_by_difference(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The pair (ours, reference) whose difference is the median."""
    ordered = sorted(pairs, key=lambda pair: pair[0] - pair[1])
    return ordered[len(ordered) // 2]
