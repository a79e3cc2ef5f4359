"""Traces of real processes: what is sent, what is never in it, and that nothing ever waits for the collector."""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.collector import Collector
from tests.support.server import Server, free_port
from tests.support.waiting import poll

MakeServer = Callable[..., Server]

TALKATIVE = "tests.support.talkative:Talkative"
TICKS = "tests.support.ticks:Ticks"

CELL = "cell-4711-0815"
REASON = "is not wanted"

WITHOUT_OPENTELEMETRY = (
    "import sys; sys.modules['opentelemetry'] = None; sys.argv[0] = 'gunicorn'; "
    "from gunicorn.app.wsgiapp import run; run()"
)
"""gunicorn, where the package is not there."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    one = Collector()
    yield one
    one.close()


def lines(server: Server) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.log.read_text().splitlines()]


def said_of_traces(server: Server) -> list[str]:
    """What the service and the library say of traces."""
    return [line["message"] for line in lines(server) if line["logger"].startswith(("jobsvc.traces", "opentelemetry"))]


def post(server: Server, path: str, body: bytes, **headers: str) -> Any:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    with urllib.request.urlopen(urllib.request.Request(server.url + path, body, named), timeout=30) as answer:
        return json.load(answer)


def test_an_upload_its_run_and_its_checkpoints_are_told_with_what_they_belong_to(
    make_server: MakeServer, collector: Collector
) -> None:
    server = make_server(JOBSVC_KINDS=TALKATIVE, **collector.settings).start()
    rows = f"do,cell\nsay,{CELL}\nrefuse,{CELL}\nsay,{CELL}\n".encode()
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    job = post(server, "/kinds/talkative/jobs?max_failed=3", rows, X_Request_ID="front-1", traceparent=parent)
    server.wait_for(job["id"], "succeeded")
    (run,) = collector.named("run talkative")
    checkpoints = collector.named("checkpoint")
    (request,) = collector.named("POST /kinds/<name>/jobs")
    assert (request.is_request, request.failed) == (True, False)
    assert (request.trace.hex(), request.parent.hex()) == tuple(parent.split("-")[1:3])
    assert request.attributes == {
        "http.request.method": "POST",
        "http.route": "/kinds/<name>/jobs",
        "http.response.status_code": 201,
        "http.response.body.size": request.attributes["http.response.body.size"],
        "jobsvc.request_id": "front-1",
    }
    assert request.attributes["http.response.body.size"] > 0
    of_job = {
        "jobsvc.job.id": job["id"],
        "jobsvc.job.kind": "talkative",
        "jobsvc.job.attempt": 1,
        "jobsvc.request_id": "front-1",
    }
    assert run.attributes == {**of_job, "jobsvc.job.state": "succeeded"}
    assert (run.parent, run.is_request, run.failed) == (b"", False, False)
    assert all((span.parent, span.trace) == (run.id, run.trace) for span in checkpoints)
    assert all({**span.attributes, **of_job} == span.attributes for span in checkpoints)
    assert sum(span.attributes["jobsvc.items.done"] for span in checkpoints) == 2
    assert sum(span.attributes["jobsvc.items.refused"] for span in checkpoints) == 1
    assert checkpoints[0].attributes["jobsvc.job.state"] == "running"
    about = {"service.name": "jobsvc", "service.version": "0.1.0", "jobsvc.process": "web"}
    assert {name: run.resource.get(name) for name in about} == about
    assert server.stop() == 0
    found = {line["logger"]: line.get("trace_id") for line in lines(server) if line.get("request_id") == "front-1"}
    assert found["jobsvc.runs.runner"] == run.trace.hex(), "the run's lines name its trace"
    assert found["jobsvc.web.request_log"] == request.trace.hex()
    raw = "".join(span.raw for span in collector.spans())
    assert CELL not in raw
    assert REASON not in raw


def test_a_run_that_breaks_is_told_as_failed_and_what_it_says_is_not(
    make_server: MakeServer, collector: Collector
) -> None:
    key = "bearer-4711-0815-bearer-4711-0815"
    server = make_server(JOBSVC_KINDS=TALKATIVE, JOBSVC_API_KEYS=f"ann:{key}", **collector.settings).start()
    rows = f"do,cell\nsay,1\nbreak,{CELL}\n".encode()
    job = post(server, "/kinds/talkative/jobs", rows, Authorization=f"Bearer {key}")
    (run,) = collector.named("run talkative")
    assert run.attributes["jobsvc.job.id"] == job["id"]
    assert (run.failed, run.attributes["jobsvc.job.state"]) == (True, "failed")
    assert server.stop() == 0
    raw = "".join(span.raw for span in collector.spans())
    assert [secret for secret in (CELL, key) if secret in raw] == []


def test_a_pause_is_the_end_of_a_run_and_what_goes_on_is_another(make_server: MakeServer, collector: Collector) -> None:
    server = make_server(JOBSVC_KINDS=TICKS, OTEL_SERVICE_NAME="ticking", **collector.settings).start()
    _, job = server.post("/kinds/ticks/jobs", {"count": 100_000})
    server.wait_done(job["id"], 10)
    assert server.post(f"/jobs/{job['id']}/pause")[0] == 200
    (paused,) = collector.named("run ticks")
    assert paused.attributes["jobsvc.job.state"] == "paused"
    assert paused.resource["service.name"] == "ticking"
    (request,) = collector.named("POST /jobs/<job_id>/pause")
    assert request.attributes["jobsvc.job.id"] == job["id"]
    assert server.post(f"/jobs/{job['id']}/resume")[0] == 200
    server.wait_done(job["id"], job["progress"]["done"] + 20)
    assert server.post(f"/jobs/{job['id']}/terminate", {"rollback": True})[0] in (200, 202)
    server.wait_for(job["id"], "terminated")
    (rollback,) = collector.named("rollback ticks")
    assert rollback.attributes["jobsvc.job.state"] == "terminated"
    assert [span.attributes["jobsvc.job.attempt"] for span in collector.named("run ticks", 2)] == [1, 2]
    assert server.stop() == 0


def test_a_request_is_told_when_its_answer_has_been_sent_and_without_its_path(
    make_server: MakeServer, collector: Collector, tmp_path: Path
) -> None:
    server = make_server(**collector.settings).start()
    file = tmp_path / "rows.csv"
    file.write_text("date,n\n" + "".join(f"2026-01-01,{'x' * 90}{n}\n" for n in range(20_000)))
    server.wait_for(server.upload(file, date_column="date"), "succeeded")
    exported = server.export("2026-01-01", "2026-01-01")
    server.wait_for(exported, "succeeded")
    size = len(server.get_bytes(f"/jobs/{exported}/result"))
    (result,) = collector.named("GET /jobs/<job_id>/result")
    assert result.attributes["http.response.body.size"] == size
    assert collector.named("run createExport")[0].attributes["jobsvc.job.id"] == exported
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{server.url}/{CELL}?{CELL}", timeout=30)
    (unknown,) = collector.named("GET")
    assert unknown.attributes["http.response.status_code"] == 404
    server.get("/readyz")
    assert server.stop() == 0
    told = collector.spans()
    assert CELL not in "".join(span.raw for span in told)
    assert not [span for span in told if "readyz" in span.raw]


def test_the_last_spans_are_sent_when_the_process_ends(make_server: MakeServer, collector: Collector) -> None:
    server = make_server(JOBSVC_KINDS=TICKS, **{**collector.settings, "OTEL_BSP_SCHEDULE_DELAY": "600000"}).start()
    _, job = server.post("/kinds/ticks/jobs", {"count": 100_000})
    server.wait_done(job["id"], 10)
    assert collector.spans() == []
    assert server.stop() == 0
    (run,) = [span for span in collector.spans() if span.name == "run ticks"]
    assert run.attributes["jobsvc.job.state"] == "interrupted"
    assert [span for span in collector.spans() if span.name == "POST /kinds/<name>/jobs"]


@pytest.mark.parametrize("silent", [False, True], ids=["refused", "silent"])
def test_a_collector_that_is_away_keeps_nothing_waiting_and_is_told_once(
    make_server: MakeServer, collector: Collector, silent: bool
) -> None:
    told = collector.settings | {"OTEL_EXPORTER_OTLP_TIMEOUT": "0.2", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "1"}
    if silent:
        collector.answering.clear()
    else:
        told["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://ann:{CELL}@127.0.0.1:{free_port()}"
    server = make_server(OTEL_BSP_MAX_QUEUE_SIZE="8", **told).start()
    begun = time.monotonic()
    for _ in range(100):
        server.get("/jobs")
    assert time.monotonic() - begun < 20, "no request waits for a try of 0.2 seconds"
    poll(lambda: any("can't be sent" in line for line in said_of_traces(server)), 20, "a word of it")
    for _ in range(20):
        server.get("/jobs")
    begun = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - begun < 8
    assert len([line for line in said_of_traces(server) if "can't be sent" in line]) == 1
    assert len(said_of_traces(server)) == 2, "beside that, only that traces are sent"
    assert CELL not in server.log.read_text()


def test_a_silent_collector_does_not_hold_up_the_end_of_the_process(
    make_server: MakeServer, collector: Collector
) -> None:
    collector.answering.clear()
    server = make_server(**collector.settings).start()
    server.get("/jobs")
    collector.wait_for(1)
    begun = time.monotonic()
    assert server.stop() == 0
    # It would wait for its ten seconds, and then for its own end for thirty.
    assert time.monotonic() - begun < 8


def test_it_is_said_when_a_collector_is_there_again(make_server: MakeServer, collector: Collector) -> None:
    collector.statuses = [400]
    server = make_server(**collector.settings).start()
    server.get("/jobs")
    poll(lambda: any("can't be sent" in line for line in said_of_traces(server)), 20, "a word of it")
    assert "400" in said_of_traces(server)[1]
    server.get("/jobs")
    poll(lambda: "traces are sent again; 1 spans were lost" in said_of_traces(server), 20, "a word of the end")
    assert server.stop() == 0


def test_without_its_packages_the_service_runs_and_says_what_is_missing(
    make_server: MakeServer, collector: Collector
) -> None:
    server = make_server([sys.executable, "-c", WITHOUT_OPENTELEMETRY], **collector.settings).start()
    assert server.get("/jobs")["jobs"] == []
    assert server.stop() == 0
    (line,) = said_of_traces(server)
    assert line == "no traces: opentelemetry is not installed: pip install -r requirements-otel.txt"


def test_nothing_is_imported_where_nobody_asks_for_traces(make_server: MakeServer) -> None:
    server = make_server(JOBSVC_KINDS=TALKATIVE).start()
    job = post(server, "/kinds/talkative/jobs", b"do,cell\nlist,1\n")
    server.wait_for(job["id"], "succeeded")
    said = [line["text"] for line in server.get(f"/jobs/{job['id']}/log")["lines"] if line["said_by"] == "kind"]
    assert said == ["doing list", "modules of opentelemetry: 0"]
    assert server.stop() == 0
    assert said_of_traces(server) == []
