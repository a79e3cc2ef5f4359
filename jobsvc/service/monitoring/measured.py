"""What the whole service tells Prometheus: figures of the database, slots, disks, and which service it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from jobsvc.jobs.states import State
from jobsvc.metrics.exposition import CONTENT_TYPE, exposition
from jobsvc.metrics.families import Metric, counters, gauge, gauges
from jobsvc.service.monitoring.disks import look
from jobsvc.service.monitoring.figures import DatabaseFigures, Figures
from jobsvc.service.workers import Workers

NO_KIND = "(unregistered)"
"""The label of all jobs whose kind the service does not have any more: what they were called is anybody's."""

_STATES = frozenset(State)

ITEMS = {
    "done": "Items that took effect, those of jobs that were rolled back or forgotten since included.",
    "refused": "Items that were refused.",
    "blank": "Lines that were left out since nothing is in them.",
    "rolled_back": "Items whose effect was removed again.",
}


@dataclass(frozen=True)
class Measured:
    """Safe to share among threads."""

    figures: DatabaseFigures
    workers: Workers
    kinds: Collection[str]
    disks: Mapping[str, Path]
    """A directory on each disk that is filled, by what is there."""
    about: Mapping[str, str]
    """Of this process: version, engine, database."""

    content_type = CONTENT_TYPE

    def text(self) -> bytes:
        """All of it, in Prometheus's text format. Takes some seconds at most, also while the database is away."""
        return exposition(self._metrics())

    def _metrics(self) -> Iterator[Metric]:
        figures = self.figures.get()
        yield gauges(
            "jobsvc_build_info", "Which service this is; always 1.", tuple(self.about), {tuple(self.about.values()): 1}
        )
        yield gauge(
            "jobsvc_database_up",
            "Whether the database answered this scrape in time; if not, what it knows is left out.",
            float(figures is not None),
        )
        slots = self.workers.slots(None)
        if figures is not None:
            yield from _of_reading(figures)
            yield from self._of_jobs(figures)
            slots = slots or figures.slots
        if slots is not None:
            values = {("used",): slots.used, ("free",): max(0, slots.total - slots.used)}
            yield gauges("jobsvc_slots", "Slots for runs.", ("state",), values)
        yield gauges(
            "jobsvc_disk_free_bytes",
            "Bytes that can be written on the disk of what it holds.",
            ("holds",),
            {(disk.holds,): disk.free for disk in look(self.disks)},
        )

    def _of_jobs(self, figures: Figures) -> Iterator[Metric]:
        jobs = {(kind, state): 0 for kind in sorted(self.kinds) for state in State}
        items: dict[str, Counter[tuple[str]]] = {name: Counter({(kind,): 0 for kind in self.kinds}) for name in ITEMS}
        for row in figures.by_kind_and_state:
            kind = row["kind"] if row["kind"] in self.kinds else NO_KIND
            # Somebody else wrote another one: see Job.from_row.
            state = State(row["state"]) if row["state"] in _STATES else State.FAILED
            jobs[kind, state] = jobs.get((kind, state), 0) + row["jobs"]
            back = int(row["taken_back"])
            items["done"][kind,] += int(row["done"]) + back
            items["refused"][kind,] += int(row["failed"])
            items["blank"][kind,] += int(row["blank"])
            items["rolled_back"][kind,] += back
        yield gauges("jobsvc_jobs", "Jobs that were not forgotten.", ("kind", "state"), jobs)
        for name, help_text in ITEMS.items():
            yield counters(f"jobsvc_items_{name}", help_text, ("kind",), items[name])
        queued = sum(count for (_, state), count in jobs.items() if state is State.QUEUED)
        yield gauge("jobsvc_queue_length", "Jobs that wait for a slot.", queued)


def _of_reading(figures: Figures) -> Iterator[Metric]:
    known: dict[str, tuple[str, float | None]] = {
        "jobsvc_database_read_duration_seconds": ("Time for reading these figures from the database.", figures.took),
        "jobsvc_database_read_age_seconds": ("How long ago they were read.", monotonic() - figures.read_at),
        "jobsvc_queue_oldest_age_seconds": (
            "Since when the job waits that has waited longest; 0: none waits.",
            figures.oldest_queued,
        ),
        "jobsvc_paused_oldest_age_seconds": (
            "Since when the job is paused that has been paused for longest; 0: none is.",
            figures.longest_paused,
        ),
        "jobsvc_webhooks_waiting": ("Webhooks that are yet to be delivered.", figures.webhooks_waiting),
        "jobsvc_database_size_bytes": ("Size of the database.", figures.bytes["database"]),
        "jobsvc_database_log_size_bytes": ("Size of its log, of SQLite.", figures.bytes.get("log")),
        "jobsvc_workers": ("Workers that are alive, in a fleet.", figures.workers),
    }
    for name, (help_text, value) in known.items():
        if value is not None:
            yield gauge(name, help_text, value)
