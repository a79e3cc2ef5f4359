"""Sending spans to a collector, on a thread of its own: nothing that is traced ever waits for it.

It is begun in each process that answers requests or runs jobs, after gunicorn's fork. A
collector that is away costs the spans, one line when that begins and one when it is over.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from threading import Event, Thread

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from jobsvc.traces import spans
from jobsvc.traces.recorded import RecordingTracer
from jobsvc.version import VERSION

log = logging.getLogger(__name__)

LAST_SECONDS = 2.0
"""How long the end of a process waits for its last spans to be sent. A collector that can't be reached may take so
much of each restart."""

SERVICE = "service.name"


class Sender:
    """The process's spans on their way. Implements `process.parts.Part`."""

    def __init__(self, what: str) -> None:
        """`what` the process is: `web` or `worker`."""
        self._exporter = TellingExporter(OTLPSpanExporter())
        # Its own end would wait for 30 seconds.
        self._provider = TracerProvider(resource=_resource(what), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._ended = Event()
        # For kinds that have spans of their own: these become parts of the run's.
        trace.set_tracer_provider(self._provider)
        spans.use(RecordingTracer(self._provider, VERSION))

    def start(self) -> None:
        """It has begun where it was made: the parts that begin before it may have spans."""

    def begin_shut_down(self) -> None:
        """Requests and runs are still ending, and have spans."""

    def shut_down(self, seconds: float) -> None:
        """Send what is left, for at most `seconds` and never for longer than LAST_SECONDS. Only the first call does
        anything."""
        if self._ended.is_set():
            return
        self._ended.set()
        spans.use(None)
        if self._exporter.is_failing:
            # No more of the tries that it makes.
            self._exporter.shutdown()
        end = Thread(target=self._provider.shutdown, name="jobsvc-traces-end", daemon=True)
        end.start()
        end.join(min(LAST_SECONDS, max(0.0, seconds)))
        if end.is_alive():
            self._exporter.shutdown()


class TellingExporter(SpanExporter):
    """Says once that spans can't be sent, and once that they can be again.

    `export` is called on the thread that sends; `shutdown` on others, too.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._lost = 0
        """Spans since the last that were sent. Written by the thread that sends."""
        self._ended = Event()
        self._said = LastWords()
        # After it was made: what it says of variables that it can't read is told as it is.
        library = logging.getLogger(OTLPSpanExporter.__module__)
        library.addFilter(self._said)
        # A full queue: the collector is away, or too slow.
        logging.getLogger("opentelemetry.sdk").setLevel(logging.ERROR)

    @property
    def is_failing(self) -> bool:
        return self._lost > 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            if self._lost:
                log.info("traces are sent again; %d spans were lost", self._lost)
            self._lost = 0
            return result
        if not self._lost and not self._ended.is_set():
            log.warning("traces can't be sent, and are lost until they can be: %s", self._said.text)
        self._lost += len(spans)
        return result

    def shutdown(self) -> None:
        """Also ends the pauses between the tries of an export. Only the first call does anything."""
        if not self._ended.is_set():
            self._ended.set()
            self._exporter.shutdown()


class LastWords(logging.Filter):
    """Keeps a library's lines from the log, and remembers the last one: it has a few for each try."""

    text = "no reason given"

    def filter(self, record: logging.LogRecord) -> bool:
        self.text = record.getMessage()
        return False


def _resource(what: str) -> Resource:
    """What all spans of the process have; the environment's word goes first."""
    found = Resource.create({"jobsvc.process": what, "service.version": VERSION, "process.pid": os.getpid()})
    if str(found.attributes.get(SERVICE, "")).startswith("unknown_service"):
        return found.merge(Resource({SERVICE: "jobsvc"}))
    return found
