"""Whether the environment asks for traces, by OpenTelemetry's own variables.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ says what they mean. What is only
about how spans are sent (headers, certificates, sampling, batches) the SDK reads by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

log = logging.getLogger(__name__)

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")

PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")

SPOKEN = "http/protobuf"


def wanted(environ: Mapping[str, str]) -> bool:
    """Whether spans are to be sent. What is asked for and can't be done is said in the log: it ends no service."""
    if _value(environ, "OTEL_SDK_DISABLED").lower() == "true":
        return False
    exporters = [name.strip() for name in _value(environ, "OTEL_TRACES_EXPORTER").split(",") if name.strip()]
    if "none" in exporters or not (exporters or any(_value(environ, name) for name in ENDPOINTS)):
        return False
    if exporters and "otlp" not in exporters:
        log.warning("no traces: OTEL_TRACES_EXPORTER=%s must be otlp or none", ",".join(exporters))
        return False
    protocol = next((found for name in PROTOCOLS if (found := _value(environ, name))), SPOKEN)
    if protocol != SPOKEN:
        log.warning("no traces: OTEL_EXPORTER_OTLP_PROTOCOL=%s must be %s", protocol, SPOKEN)
        return False
    return True


def _value(environ: Mapping[str, str], name: str) -> str:
    """An empty value counts as not set."""
    return environ.get(name, "").strip()
