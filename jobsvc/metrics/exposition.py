"""What is measured, as text in Prometheus's format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector

# What is measured is there from the start, also where nothing has been measured yet.
from jobsvc.metrics import instruments, shared_files  # noqa: F401

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


def exposition(more: Iterable[Metric] = ()) -> bytes:
    """What this process has measured, or all processes of its server have; and `more`, made by the caller."""
    return generate_latest(_Given([*_measured(), *more]))


def _measured() -> Iterator[Metric]:
    where = shared_files.directory()
    if where is None:
        yield from REGISTRY.collect()
        return
    with shared_files.read(where):
        yield from MultiProcessCollector.merge(shared_files.files(where))


class _Given(CollectorRegistry):
    """Registers nothing, since a registry asks its collectors for their names while it holds its lock."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        super().__init__()
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics
