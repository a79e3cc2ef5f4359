"""Steering beside clients that leave the server waiting, and a shutdown in the middle of it."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

from bench.measure import Stopwatch, percentile
from bench.report import Row, at_most
from bench.workshop import Running, Workshop, wait_until
from tests.support import silent_clients
from tests.support.silent_clients import Crowd

EACH = 25
RENEW_SECONDS = 2.5
"""How often those that the server has given up are replaced: later than it stops waiting for them to close."""

ASK_SECONDS = 0.1
AT_MOST_MS = 1000
SHUTDOWN_AT_MOST_SECONDS = 10
"""The default of JOBSVC_SHUTDOWN_TIMEOUT."""

EXPORTED_ROWS = 100_000
"""About 11 MB, more than the systems of both sides keep ready."""


def rows(workshop: Workshop) -> Iterator[Row]:
    with workshop.server() as running:
        running.upload(workshop.part(1000))
        _begin_long(running)
        idle = _end(running)
    with workshop.server() as running:
        source = running.upload(workshop.part(EXPORTED_ROWS))
        running.wait_succeeded(source)
        download = _export(running, "2013-01-01", "2013-12-31")
        running.wait_succeeded(download)
        kinds = [
            silent_clients.opened,
            silent_clients.half_a_header,
            silent_clients.half_a_body,
            silent_clients.half_an_upload,
            silent_clients.unread_download(f"/jobs/{download}/result"),
            silent_clients.close_left_open,
            silent_clients.http_1_0_left_open,
            silent_clients.body_to_a_wrong_path,
        ]
        looks: list[float] = []
        pauses: list[float] = []
        with Crowd(running.server.port, kinds, EACH) as crowd:
            _steer(running, crowd, workshop.scale.silent_seconds, looks, pauses)
            end = _end(running)
    beside = f"beside {EACH * len(kinds)} clients that keep it waiting, {workshop.scale.silent_seconds:g} s"
    for what, figures in (("GET /healthz", looks), ("pause answered", pauses)):
        for name, percent in (("median", 50), ("p99", 99), ("slowest", 100)):
            figure = percentile(figures, percent)
            yield at_most(f"{what}, {name} of {len(figures)}, {beside}", figure, AT_MOST_MS, unit="ms")
    yield at_most(
        "SIGTERM until the process is gone, in the middle of it",
        end,
        SHUTDOWN_AT_MOST_SECONDS,
        unit="s",
        reference=idle,
        against="with a run and without them",
    )


def _steer(running: Running, crowd: Crowd, seconds: float, looks: list[float], pauses: list[float]) -> None:
    """Look, pause and resume for so long; times are in ms."""
    job_id = ""
    whole, since_renewed = Stopwatch(), Stopwatch()
    while whole.seconds < seconds:
        if since_renewed.seconds > RENEW_SECONDS:
            crowd.renew()
            since_renewed = Stopwatch()
        if not job_id or running.job(job_id)["finished_at"] is not None:
            job_id = _begin_long(running)
        looks.append(running.client.get("/healthz").seconds * 1000)
        answer = running.pause(job_id)
        if answer.status == 200 and answer.json["state"] == "paused":
            pauses.append(answer.seconds * 1000)
            running.resume(job_id)
        time.sleep(ASK_SECONDS)


def _begin_long(running: Running) -> str:
    """Begin a job of millions of days, nearly all without a record: it lasts for minutes."""
    job_id = _export(running, "1000-01-01", "9000-01-01")
    wait_until(lambda: bool(running.job(job_id)["state"] == "running"))
    return job_id


def _export(running: Running, first: str, last: str) -> str:
    status, answer = running.server.post("/exportData", {"from": first, "to": last})
    assert status == 200, answer
    job_id: str = answer["Job ID"]
    return job_id


def _end(running: Running) -> float:
    """Returns the seconds from SIGTERM until the server is gone."""
    watch = Stopwatch()
    running.server.stop(signal.SIGTERM, 60)
    return watch.seconds
