"""Spans as OpenTelemetry has them. Imported only where they are wanted and its packages are installed."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import Token

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from jobsvc.traces.spans import NO_FIELDS, Span, Value

_TRACE_CONTEXT = TraceContextTextMapPropagator()
"""W3C Trace Context, and no baggage: nothing here passes on what a client sends along."""


class RecordedSpan(Span):
    """Belongs to its thread."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        self._token: Token[Context] | None = None
        found = span.get_span_context()
        self.fields = {"trace_id": trace.format_trace_id(found.trace_id)} if span.is_recording() else NO_FIELDS

    def __enter__(self) -> Span:
        self._token = context.attach(trace.set_span_in_context(self._span))
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.fail(kind.__name__)
        if self._token is not None:
            context.detach(self._token)
        self._span.end()

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def note(self, attributes: Mapping[str, Value]) -> None:
        self._span.set_attributes(_known(attributes))

    def fail(self, why: str) -> None:
        self._span.set_attribute("error.type", why)
        self._span.set_status(StatusCode.ERROR)


class RecordingTracer:
    """Implements `spans.Tracer`. Safe to share among threads."""

    def __init__(self, provider: trace.TracerProvider, version: str) -> None:
        self._tracer = provider.get_tracer("jobsvc", version)

    def span(self, name: str, attributes: Mapping[str, Value]) -> Span:
        return RecordedSpan(self._tracer.start_span(name, attributes=_known(attributes)))

    def request(self, name: str, headers: Mapping[str, str]) -> Span:
        # Whatever this thread has done before is no part of it.
        parent = _TRACE_CONTEXT.extract(headers, Context())
        return RecordedSpan(self._tracer.start_span(name, parent, SpanKind.SERVER))


def _known(attributes: Mapping[str, Value]) -> dict[str, str | int | float | bool]:
    return {name: value for name, value in attributes.items() if value is not None}
