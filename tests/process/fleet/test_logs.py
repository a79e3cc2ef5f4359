"""Lines, logs of jobs and traces where requests and runs are in processes of their own."""

from __future__ import annotations

import json
import signal
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.collector import Collector
from tests.support.fleet import Fleet


def lines(log: Path) -> list[dict[str, Any]]:
    """Every line, each of which must be a JSON object."""
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_one_request_is_found_by_its_id_on_every_machine(make_fleet: Callable[..., Fleet]) -> None:
    collector = Collector()
    fleet = make_fleet(JOBSVC_KINDS="tests.support.talkative:Talkative", **collector.settings)
    web, worker = fleet.start_web(), fleet.start_worker(concurrency=3)
    asked = urllib.request.Request(
        f"{web.url}/kinds/talkative/jobs", b"do,cell\nsay,1\nrefuse,2\n", {"X-Request-ID": "front-1"}
    )
    with urllib.request.urlopen(asked, timeout=30) as answer:
        job_id = json.load(answer)["id"]
    web.wait_for(job_id, "succeeded")
    assert [(line["said_by"], line["text"]) for line in web.get(f"/jobs/{job_id}/log")["lines"]][1:3] == [
        ("kind", "doing say"),
        ("kind", "doing refuse"),
    ]
    worker.signal(signal.SIGTERM)
    assert worker.process.wait(30) == 0
    assert web.stop() == 0

    (start,) = [line for line in lines(worker.log) if line["message"].startswith("worker ready")]
    assert (start["worker"], start["concurrency"], start["engine"]) == ("worker-0", 3, "fleet")
    runs = [line for line in lines(worker.log) if line["logger"] == "jobsvc.runs.runner"]
    assert [line["message"] for line in runs] == ["the run begins: 0 items done so far", "the run ends: succeeded"]
    about = {"job": job_id, "attempt": 1, "user": "Jon-Doe", "request_id": "front-1"}
    assert all({name: line.get(name) for name in about} == about for line in runs)
    assert [line["status"] for line in lines(web.log) if line.get("request_id") == "front-1"] == [201]

    told = [span for span in collector.spans() if span.attributes.get("jobsvc.request_id") == "front-1"]
    assert {(span.name, span.resource["jobsvc.process"]) for span in told} == {
        ("POST /kinds/<name>/jobs", "web"),
        ("run talkative", "worker"),
        ("checkpoint", "worker"),
    }
    collector.close()
