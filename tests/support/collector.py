"""A collector of traces: a real HTTP server that takes OTLP, as the service sends it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SentSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tests.support.receiver import Receiver
from tests.support.waiting import poll


@dataclass(frozen=True)
class Collected:
    name: str
    id: bytes
    trace: bytes
    parent: bytes
    is_request: bool
    failed: bool
    attributes: dict[str, Any]
    resource: dict[str, Any]
    raw: str
    """Everything that was sent of it, as text."""


class Collector(Receiver):
    """Answers as `Receiver` does, and knows the spans that it was sent."""

    @property
    def settings(self) -> dict[str, str]:
        """What tells a process to send its spans here, soon."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.port}", "OTEL_BSP_SCHEDULE_DELAY": "50"}

    def spans(self) -> list[Collected]:
        return [span for one in list(self.received) if one.path == "/v1/traces" for span in decoded(one.body)]

    def named(self, name: str, count: int = 1) -> list[Collected]:
        """Wait until so many spans of that name have come; returns them."""

        def found() -> list[Collected]:
            return [span for span in self.spans() if span.name == name]

        poll(lambda: len(found()) >= count, 30, f"{count} spans {name!r}")
        return found()


def decoded(body: bytes) -> list[Collected]:
    told = ExportTraceServiceRequest.FromString(body)
    return [
        Collected(
            span.name,
            span.span_id,
            span.trace_id,
            span.parent_span_id,
            span.kind == SentSpan.SPAN_KIND_SERVER,
            span.status.code == Status.STATUS_CODE_ERROR,
            attributes(span.attributes),
            attributes(resource.resource.attributes),
            str(span),
        )
        for resource in told.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
