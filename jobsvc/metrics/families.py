"""Metrics that are made when somebody asks: what is known elsewhere, and not counted here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

__all__ = ["Metric", "counters", "gauge", "gauges"]

Labelled = Mapping[Any, float]
"""Values by the tuple of their labels."""


def gauge(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, help_text, value=value)


def gauges(name: str, help_text: str, labels: tuple[str, ...], values: Labelled) -> Metric:
    return _with(GaugeMetricFamily(name, help_text, labels=labels), values)


def counters(name: str, help_text: str, labels: tuple[str, ...], values: Labelled) -> Metric:
    """`name` is without its `_total`."""
    return _with(CounterMetricFamily(name, help_text, labels=labels), values)


def _with(family: GaugeMetricFamily | CounterMetricFamily, values: Labelled) -> Metric:
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family
