"""Jobs that take their time to obey: what is told of them meanwhile, and how a command ends then."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import Server
from tests.support.shell import jobsvc, start


class Gate:
    """A job whose only item is under way until the gate is opened."""

    def __init__(self, service: Server, pipe: Path) -> None:
        self._pipe = pipe
        os.mkfifo(pipe)
        status, job = service.post("/kinds/stubborn/jobs", {"count": 1, "gate": str(pipe)})
        assert status == 201, job
        self.job_id: str = job["id"]
        self._opened = False
        service.wait_for(self.job_id, "running")

    def open(self) -> None:
        if not self._opened:
            self._opened = True
            # Waits until the item is there.
            self._pipe.open("wb").close()


@pytest.fixture
def gate(service: Server, tmp_path: Path) -> Iterator[Gate]:
    found = Gate(service, tmp_path / "gate")
    yield found
    found.open()
    service.wait_for(found.job_id, "succeeded", "paused", "terminated")


def test_a_time_that_is_over_has_an_exit_code_of_its_own_and_no_wait_none(service: Server, gate: Gate) -> None:
    found = jobsvc(service.url, "pause", gate.job_id, "--wait", "0.1")
    assert (found.exit, found.lines) == (8, [f"{gate.job_id} pausing"])
    assert found.err.splitlines() == [
        f"Error: job {gate.job_id} has not obeyed yet",
        f"What was asked for goes on. To follow it: jobsvc watch {gate.job_id}",
    ]
    found = jobsvc(service.url, "pause", gate.job_id, "--no-wait")
    assert (found.exit, found.lines, found.err) == (0, [f"{gate.job_id} pausing"], "")
    found = jobsvc(service.url, "pause", gate.job_id, "--wait", "0.1", "--json")
    assert (found.exit, found.json["state"], json.loads(found.err)["exit"]) == (8, "pausing", 8)


def test_without_a_time_a_command_waits_until_the_job_has_obeyed(service: Server, gate: Gate) -> None:
    pausing = start(service.url, "pause", gate.job_id)
    assert pausing.stderr is not None
    assert pausing.stderr.readline().startswith("pausing: ")
    gate.open()
    out, _ = pausing.communicate(timeout=60)
    # Its only item was under way: the job has come to its end, with nothing left to pause.
    assert (pausing.returncode, out) == (0, f"{gate.job_id} {service.job(gate.job_id)['state']}\n")


def test_ctrl_c_ends_the_waiting_and_not_what_was_asked_for(service: Server, gate: Gate) -> None:
    terminating = start(service.url, "terminate", "--rollback", gate.job_id)
    assert terminating.stderr is not None
    assert terminating.stderr.readline().startswith("terminating: ")
    terminating.send_signal(signal.SIGINT)
    out, errors = terminating.communicate(timeout=60)
    assert (terminating.returncode, out) == (130, "")
    assert f"No longer waiting. What was asked for goes on. To follow it: jobsvc watch {gate.job_id}" in errors
    gate.open()
    assert service.wait_for(gate.job_id, "terminated")["rolled_back"] is True


def test_every_job_is_asked_before_any_is_waited_for(service: Server, gate: Gate, tmp_path: Path) -> None:
    second = Gate(service, tmp_path / "second")
    pausing = start(service.url, "pause", gate.job_id, second.job_id)
    service.wait_for(second.job_id, "pausing")
    second.open()
    gate.open()
    out, errors = pausing.communicate(timeout=60)
    assert pausing.returncode == 0, errors
    assert {line.split()[0] for line in out.splitlines()} == {gate.job_id, second.job_id}


def test_a_job_that_was_to_be_rolled_back_is_called_so(service: Server, gate: Gate) -> None:
    found = jobsvc(service.url, "terminate", "--rollback", gate.job_id, "--no-wait")
    assert (found.exit, found.lines) == (0, [f"{gate.job_id} terminating"])
    gate.open()
    service.wait_for(gate.job_id, "terminated")
    found = jobsvc(service.url, "rollback", gate.job_id)
    assert (found.exit, found.lines) == (0, [f"{gate.job_id} rolled back"])
    found = jobsvc(service.url, "watch", gate.job_id)
    assert (found.exit, found.err) == (4, "terminated, and rolled back: what the job had made is removed\n")


def test_a_rollback_that_fails_is_no_success(service: Server) -> None:
    _, job = service.post("/kinds/sticky/jobs", {"count": 1, "seconds": 0})
    service.wait_for(job["id"], "succeeded")
    found = jobsvc(service.url, "rollback", job["id"])
    assert (found.exit, found.lines) == (4, [f"{job['id']} terminated"])
    assert found.err.startswith(f"Error: job {job['id']} was not rolled back: ")


def test_a_rollback_of_what_runs_is_refused_with_the_command_that_does_it(service: Server, gate: Gate) -> None:
    found = jobsvc(service.url, "rollback", gate.job_id)
    assert found.exit == 6
    assert found.err.splitlines()[1].endswith(f"jobsvc terminate --rollback {gate.job_id}")
