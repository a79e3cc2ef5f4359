"""A large upload: how fast it arrives, and how much memory it and its processing take."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from bench.client import Client
from bench.measure import MIB, forget_peak, memory, middle_pair, peak_memory
from bench.report import Row, at_most_more, times
from bench.workshop import Workshop

APP = "bench.raw_upload:app"
AT_LEAST = 0.7
MAX_MORE_MIB = 32


def rows(workshop: Workshop) -> Iterator[Row]:
    file = workshop.large()
    size = f"{file.stat().st_size / 1e6:.0f} MB"
    to_disk, to_cache = _speeds(workshop, file)
    against = "raw bytes, to the disk"
    yield times(f"multipart upload of {size}", *to_disk, unit="MB/s", against=against, at_least=AT_LEAST)
    against = "raw bytes, to the cache"
    yield times(f"multipart upload of {size}", *to_cache, unit="MB/s", against=against, at_least=None)
    peak, idle = _peak(workshop, file)
    what = f"peak memory, {size} arrives and is processed"
    yield at_most_more(what, peak, idle, MAX_MORE_MIB, unit="MB", against="idle")


def _speeds(workshop: Workshop, file: Path) -> tuple[tuple[float, float], tuple[float, float]]:
    """(ours, reference) in MB/s: against raw bytes brought to the disk, as ours are, and left in the system's cache."""
    megabytes = file.stat().st_size / 1e6
    to_disk, to_cache = [], []
    target = workshop.fresh_path("raw")
    with workshop.server() as running, workshop.other_server(APP, target) as other:
        for _ in range(workshop.scale.rounds):
            # What a run before has left to write would be paid for by the next.
            os.sync()
            answer = running.client.upload(file)
            assert answer.status == 200, answer
            running.drop(answer.json["Job ID"])
            ours = megabytes / answer.seconds
            to_disk.append((ours, megabytes / _raw(other, file, "/raw-to-disk")))
            target.unlink()
            to_cache.append((ours, megabytes / _raw(other, file, "/raw")))
            target.unlink()
    return middle_pair(to_disk), middle_pair(to_cache)


def _raw(client: Client, file: Path, path: str) -> float:
    os.sync()
    answer = client.send(file, path, "application/octet-stream")
    assert answer.json == {"bytes": file.stat().st_size}, answer
    return answer.seconds


def _peak(workshop: Workshop, file: Path) -> tuple[float, float]:
    """MB of memory of the process that serves and works: the most, and before."""
    with workshop.server() as running:
        idle = memory(running.pid)
        forget_peak(running.pid)
        running.wait_succeeded(running.upload(file))
        return peak_memory(running.pid) / MIB, idle / MIB
