"""A large upload: how fast it arrives, and how much memory it and its processing take."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from bench.client import Answer, Client
from bench.measure import MIB, forget_peak, memory, middle_pair, peak_memory
from bench.report import Measured, Series, at_most_more, times
from bench.workshop import Running, Workshop

APP = "bench.raw_upload:app"
FORM_AT_LEAST = 0.8
BODY_AT_LEAST = 0.95
MAX_MORE_MIB = 32


def rows(workshop: Workshop) -> Iterator[Measured]:
    file = workshop.large()
    size = f"{file.stat().st_size / 1e6:.0f} MB"
    speeds = _speeds(workshop, file)
    disk, cache = "raw bytes, to the disk", "raw bytes, to the cache"
    form, body = f"multipart upload of {size}", "the same file as the body"
    yield times(form, *speeds.form, unit="MB/s", against=disk, at_least=FORM_AT_LEAST)
    yield times(body, *speeds.body, unit="MB/s", against=disk, at_least=BODY_AT_LEAST)
    yield times(form, *speeds.form_to_cache, unit="MB/s", against=cache, at_least=None)
    peak, idle = _peak(workshop, file)
    what = f"peak memory, {size} arrives and is processed"
    yield at_most_more(what, peak, idle, MAX_MORE_MIB, unit="MB", against="idle")
    if workshop.scale.plots:
        points = [(0.0, idle)]
        for smaller in (workshop.part(100_000), workshop.flights):
            points.append((smaller.stat().st_size / 1e6, _peak(workshop, smaller)[0]))
        points.append((file.stat().st_size / 1e6, peak))
        yield Series("file memory", "size of the file in MB", "most memory of the process in MB", tuple(points))


class Speeds(NamedTuple):
    """Each (ours, reference) in MB/s: raw bytes brought to the disk, as ours are, or left in the system's cache."""

    form: tuple[float, float]
    body: tuple[float, float]
    form_to_cache: tuple[float, float]


def _speeds(workshop: Workshop, file: Path) -> Speeds:
    megabytes = file.stat().st_size / 1e6
    form, body, to_cache = [], [], []
    target = workshop.fresh_path("raw")
    with workshop.server() as running, workshop.other_server(APP, target) as other:
        for _ in range(workshop.scale.rounds):
            as_form = megabytes / _ours(running, lambda: running.client.upload(file))
            to_disk = megabytes / _raw(other, file, "/raw-to-disk", target)
            as_body = megabytes / _ours(running, lambda: running.client.send(file, "/uploadCSV", "text/csv"))
            form.append((as_form, to_disk))
            body.append((as_body, to_disk))
            to_cache.append((as_form, megabytes / _raw(other, file, "/raw", target)))
    return Speeds(middle_pair(form), middle_pair(body), middle_pair(to_cache))


def _ours(running: Running, upload: Callable[[], Answer]) -> float:
    # What a run before has left to write would be paid for by the next.
    os.sync()
    answer = upload()
    assert answer.status == 200, answer
    running.drop(answer.json["Job ID"])
    return answer.seconds


def _raw(client: Client, file: Path, path: str, target: Path) -> float:
    os.sync()
    answer = client.send(file, path, "application/octet-stream")
    assert answer.json == {"bytes": file.stat().st_size}, answer
    target.unlink()
    return answer.seconds


def _peak(workshop: Workshop, file: Path) -> tuple[float, float]:
    """MB of memory of the process that serves and works: the most, and before."""
    with workshop.server() as running:
        idle = memory(running.pid)
        forget_peak(running.pid)
        running.wait_succeeded(running.upload(file))
        return peak_memory(running.pid) / MIB, idle / MIB
