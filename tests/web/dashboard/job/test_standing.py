"""What a job's page says of where the job stands: the truth, and of a stop only once it is acknowledged."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from flask.testing import FlaskClient

from jobsvc.jobs.states import State
from jobsvc.web.dashboard.job.standing import standing
from jobsvc.web.services import Services
from tests.support.gated import Gated
from tests.support.requests import held, submit_gated, upload
from tests.support.waiting import wait_for
from tests.web.dashboard.job.conftest import Look

STOPPED = re.compile(r"Stopped|stopped at")


def sentence(text: str) -> str:
    found = re.search(r'id="sentence">(.*?)</p>', text, re.DOTALL)
    assert found
    return re.sub(r"<[^>]+>", "", found[1])


def buttons(text: str) -> list[str]:
    """What can be asked of the job, by the last word of the addresses."""
    live = text.split('id="details"', maxsplit=1)[0]
    asked = re.findall(r'action="/jobs/[^"]*/(\w+)"|href="/ui/jobs/[^"]*/(\w+)" data-ask', live)
    return [one or other for one, other in asked]


def test_a_running_job_can_be_paused_and_terminated(services: Services, gated: Gated, look: Look) -> None:
    text = look(held(services, gated))
    assert sentence(text).startswith("Running since")
    assert buttons(text) == ["pause", "terminate"]


def test_a_job_that_pauses_is_not_said_to_have_stopped_until_it_has(
    client: FlaskClient, services: Services, gated: Gated, look: Look
) -> None:
    job_id = held(services, gated)
    assert client.post(f"/jobs/{job_id}/pause?wait=0").status_code == 202
    text = look(job_id)
    assert sentence(text) == "Pausing: the rows under way are being finished."
    assert not STOPPED.search(text)
    gated.gate.open(1)
    wait_for(services, job_id, State.PAUSED)
    text = look(job_id, "?said=job.pause")
    assert sentence(text) == "Stopped at row 1. Nothing more happens until somebody resumes it."
    assert buttons(text) == ["resume", "terminate"]


def test_a_job_that_is_terminated_says_so_in_the_same_two_steps(
    client: FlaskClient, services: Services, gated: Gated, look: Look
) -> None:
    job_id = held(services, gated)
    client.post(f"/jobs/{job_id}/terminate?wait=0")
    text = look(job_id)
    assert sentence(text) == "Terminating: the rows under way are being finished."
    assert buttons(text) == []
    assert not STOPPED.search(text)
    gated.gate.open(1)
    wait_for(services, job_id, State.TERMINATED)
    text = look(job_id, "?said=job.terminate")
    assert sentence(text) == "Stopped at row 1, for good. What it has made is still there: 1 row."
    assert buttons(text) == ["rollback"]


def test_a_rollback_tells_what_is_left_and_then_that_nothing_is(
    client: FlaskClient, services: Services, gated: Gated, look: Look
) -> None:
    job_id = submit_gated(services, count=3)
    gated.gate.open(3)
    wait_for(services, job_id, State.SUCCEEDED)
    assert "3 rows are removed for good" in look(job_id, "/rollback")
    client.post(f"/jobs/{job_id}/rollback")
    wait_for(services, job_id, State.TERMINATED)
    text = look(job_id)
    assert sentence(text) == "Rolled back: nothing of it is left."
    assert buttons(text) == []
    assert "left to remove</dt><dd>0<" in text
    assert "removed</dt><dd>3<" in text


def test_a_rollback_that_waits_for_its_run_says_that(
    client: FlaskClient, services: Services, gated: Gated, look: Look
) -> None:
    job_id = held(services, gated)
    client.post(f"/jobs/{job_id}/terminate", json={"rollback": True, "wait": 0})
    assert sentence(look(job_id)) == "Rolling back: the rows under way are being finished, then all is removed."
    gated.gate.open(1)
    wait_for(services, job_id, State.TERMINATED)


@pytest.mark.both_databases
def test_a_job_that_waits_for_a_slot_says_how_many_go_before_it(services: Services, gated: Gated, look: Look) -> None:
    ids = [submit_gated(services) for _ in range(services.settings.max_running + 3)]
    gated.gate.wait_reached(services.settings.max_running)
    told = [sentence(look(job_id)) for job_id in ids[-3:]]
    assert told == [
        "Waits for a free slot. It is next.",
        "Waits for a free slot. 1 job goes before it.",
        "Waits for a free slot. 2 jobs go before it.",
    ]


def test_a_job_that_was_paused_before_it_began_has_stopped_at_no_row(
    client: FlaskClient, services: Services, gated: Gated, look: Look
) -> None:
    ids = [submit_gated(services) for _ in range(services.settings.max_running + 1)]
    gated.gate.wait_reached(services.settings.max_running)
    client.post(f"/jobs/{ids[-1]}/pause")
    assert sentence(look(ids[-1])).startswith("Stopped before the first of its rows.")


def test_a_failed_job_says_why_and_can_be_resumed(services: Services, gated: Gated, look: Look) -> None:
    gated.gate.open(3)
    job_id = submit_gated(services, fail_at=3)
    wait_for(services, job_id, State.FAILED)
    text = look(job_id)
    assert sentence(text) == "Failed at row 2. 2 rows are done."
    assert 'aria-label="Error"' in text
    assert buttons(text) == ["resume", "rollback"]


def test_a_job_that_has_succeeded_counts_what_it_refused(client: FlaskClient, services: Services, look: Look) -> None:
    job_id = upload(client, b"date,n\n2026-01-01,1\nnever,2\n")
    wait_for(services, job_id, State.SUCCEEDED)
    assert sentence(look(job_id)).endswith(": 1 row done, 1 refused.")


@pytest.mark.parametrize("state", list(State))
def test_every_state_has_a_sentence(services: Services, gated: Gated, look: Look, state: State) -> None:
    """Also one that a job is in for no longer than a moment."""
    job = services.jobs.get(held(services, gated)).changed({"state": state})
    said = standing(job, "days", checks=False, ahead=None, recovers=False, now=datetime.now(UTC))
    assert str(said).endswith(".")
    assert bool(STOPPED.search(said)) == (state in (State.PAUSED, State.TERMINATED))
