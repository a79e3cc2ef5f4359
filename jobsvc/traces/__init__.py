"""Traces: what a request, a run or a checkpoint took, for OpenTelemetry. Only this room imports opentelemetry."""
