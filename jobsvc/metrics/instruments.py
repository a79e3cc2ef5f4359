"""What a process counts and times by itself; what the database knows is read from it when somebody asks.

Each is safe to share among threads. To count takes a microsecond or two, with a lock of prometheus_client's that
nothing holds for longer. So it is done once for a batch, a request or a piece of an upload, never for an item.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

# A second line for each counter, with the time of the process's start in it, which nobody here needs.
disable_created_metrics()

UNKNOWN_ROUTE = "(unknown)"
"""The label of requests that no route took: their paths are anybody's to choose."""

COMMIT_SECONDS = Histogram(
    "jobsvc_commit_duration_seconds",
    "Time for committing a batch of items, waiting for the turn to write included.",
    ["kind"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)

STOP_SECONDS = Histogram(
    "jobsvc_stop_duration_seconds",
    "Time from a request to pause or terminate a job that ran until its run had obeyed.",
    ["action"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)

REQUESTS = Counter("jobsvc_http_requests", "Requests that were answered.", ["route", "method", "status"])

REQUEST_SECONDS = Histogram(
    "jobsvc_http_request_duration_seconds",
    "Time from the beginning of a request until its answer was handed over whole.",
    ["route"],
    buckets=(0.01, 0.05, 0.25, 1, 5, 30),
)

UPLOADS = Gauge("jobsvc_uploads_in_progress", "Uploads that are arriving.", multiprocess_mode="livesum")

DOWNLOADS = Gauge("jobsvc_downloads_in_progress", "Downloads that are being sent.", multiprocess_mode="livesum")

UPLOADED_BYTES = Counter("jobsvc_uploaded_bytes", "Bytes of uploaded files, as they arrived.")

for _action in ("pause", "terminate"):
    STOP_SECONDS.labels(action=_action)
