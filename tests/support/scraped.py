"""What Prometheus reads at /metrics."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families


class Scraped:
    """The samples of a text in Prometheus's format, which must be well-formed."""

    def __init__(self, text: str) -> None:
        families = list(text_string_to_metric_families(text))
        self.families = {family.name: family.type for family in families}
        self._values: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        for family in families:
            for sample in family.samples:
                key = sample.name, frozenset(sample.labels.items())
                assert key not in self._values, f"{key} is there twice"
                self._values[key] = sample.value

    def get(self, name: str, **labels: str) -> float:
        """The value of a sample by its name and all of its labels. Raises KeyError."""
        return self._values[name, frozenset(labels.items())]

    def count(self, name: str, **labels: str) -> float:
        """The same for what may not have been counted yet."""
        return self._values.get((name, frozenset(labels.items())), 0.0)

    def labels(self, name: str) -> list[Mapping[str, str]]:
        return [dict(labels) for found, labels in self._values if found == name]

    def names(self) -> set[str]:
        """The names of samples as queries have them, of those that the service itself has chosen."""
        return {name for name, _ in self._values if name.startswith("jobsvc_")}

    def items(self, kind: str) -> dict[str, float]:
        """Of a kind: items that are done, refused, blank and rolled back."""
        outcomes = ("done", "refused", "blank", "rolled_back")
        return {outcome: self.get(f"jobsvc_items_{outcome}_total", kind=kind) for outcome in outcomes}
