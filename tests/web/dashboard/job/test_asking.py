"""Before something can't be taken back, a page asks, and says how much would go."""

from __future__ import annotations

import re

from flask.testing import FlaskClient

from jobsvc.jobs.states import State
from jobsvc.web.services import Services
from tests.support.browser import PAGE_VIEW, Browser
from tests.support.gated import Gated
from tests.support.requests import held, submit_gated, upload
from tests.support.waiting import wait_for
from tests.web.dashboard.job.conftest import Look


def forms(text: str) -> list[tuple[str, dict[str, str]]]:
    """Where each form goes, and what it sends."""
    found = re.findall(r'<form method="post" action="([^"]+)"(.*?)</form>', text, re.DOTALL)
    return [(action, dict(re.findall(r'name="(\w+)" value="(\w+)"', inside))) for action, inside in found]


def test_terminating_offers_a_rollback_with_the_number_of_rows(services: Services, gated: Gated, look: Look) -> None:
    gated.gate.open(2)
    job_id = submit_gated(services)
    gated.gate.wait_reached(3)
    text = look(job_id, "/terminate")
    assert "It has made 2 rows so far." in text
    assert "Terminate and remove 2 rows" in text
    assert forms(text) == [
        (f"/jobs/{job_id}/terminate", {"wait": "2"}),
        (f"/jobs/{job_id}/terminate", {"wait": "2", "rollback": "true"}),
    ]


def test_without_script_its_form_leads_back_to_the_page_of_the_job(
    services: Services, gated: Gated, browser: Browser
) -> None:
    job_id = held(services, gated)
    headers = {
        "Accept": PAGE_VIEW,
        "Referer": f"http://localhost/ui/jobs/{job_id}/terminate",
        "Sec-Fetch-Site": "same-origin",
    }
    answer = browser.post(f"/jobs/{job_id}/terminate", headers, data={"wait": "0", "rollback": "true"})
    assert answer.status_code == 303
    answer = browser.get(answer.headers["Location"], {"Accept": PAGE_VIEW})
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/ui/jobs/{job_id}?said=job.rollback.under-way")
    assert "The job is being rolled back." in browser.get(answer.headers["Location"], {"Accept": PAGE_VIEW}).text


def test_the_part_alone_is_for_the_dialog(services: Services, gated: Gated, look: Look) -> None:
    job_id = held(services, gated)
    text = look(job_id, "/terminate?live=1")
    assert "<html" not in text
    assert len(forms(text)) == 2


def test_a_job_that_has_not_begun_has_nothing_to_roll_back(services: Services, gated: Gated, look: Look) -> None:
    ids = [submit_gated(services) for _ in range(services.settings.max_running + 1)]
    gated.gate.wait_reached(services.settings.max_running)
    text = look(ids[-1], "/terminate")
    assert "It has made nothing yet." in text
    assert forms(text) == [(f"/jobs/{ids[-1]}/terminate", {"wait": "2"})]


def test_what_is_over_can_not_be_terminated_any_more(client: FlaskClient, services: Services, look: Look) -> None:
    job_id = upload(client)
    wait_for(services, job_id, State.SUCCEEDED)
    text = look(job_id, "/terminate")
    assert "Terminate is not possible: the job is succeeded now" in text
    assert forms(text) == []
    assert len(forms(look(job_id, "/rollback"))) == 1


def test_what_was_checked_can_be_imported_once_its_check_is_over(
    client: FlaskClient, services: Services, look: Look
) -> None:
    job_id = upload(client, b"date,n\n2026-01-01,1\n", dry_run="true")
    wait_for(services, job_id, State.SUCCEEDED)
    page = look(job_id)
    assert "Apply: import this 1 row" in page
    assert (f"/jobs/{job_id}/apply", {}) in forms(page)
    assert "Import x.csv?" in look(job_id, "/apply")
    real = client.post(f"/jobs/{job_id}/apply").get_json()["id"]
    wait_for(services, real, State.SUCCEEDED)
    page = look(job_id)
    assert f'href="/ui/jobs/{real}"' in page
    assert (f"/jobs/{job_id}/apply", {}) not in forms(page), "once more only after a question"
    assert f"It was applied already, as {real}." in look(job_id, "/apply")
    assert f'href="/ui/jobs/{job_id}"' in look(real), "the job tells of its check"


def test_a_check_that_found_nothing_to_do_can_not_be_applied(
    client: FlaskClient, services: Services, look: Look
) -> None:
    job_id = upload(client, b"date,n\nnever,1\n", dry_run="true")
    wait_for(services, job_id, State.FAILED)
    assert "/apply" not in look(job_id)
    assert forms(look(job_id, "/apply")) == []


def test_what_is_no_check_can_not_be_applied(client: FlaskClient, services: Services, look: Look) -> None:
    job_id = upload(client)
    wait_for(services, job_id, State.SUCCEEDED)
    assert forms(look(job_id, "/apply")) == []


def test_a_rollback_of_an_export_removes_its_file_and_nothing_else(
    client: FlaskClient, services: Services, look: Look
) -> None:
    imported = upload(client, b"date,n\n2026-01-01,1\n")
    wait_for(services, imported, State.SUCCEEDED)
    exported = client.post("/exportData", json={"from": "2026-01-01", "to": "2026-01-31"}).get_json()["Job ID"]
    wait_for(services, exported, State.SUCCEEDED)
    text = look(exported, "/rollback")
    assert "The file that it has made is removed. What the file was made of stays as it is." in text
    assert "Remove its file" in text
    assert "days are removed" not in text


def test_the_records_of_an_import_can_be_exported_from_its_page(
    client: FlaskClient, services: Services, look: Look
) -> None:
    job_id = upload(client, b"date,n\n2026-01-01,1\n")
    wait_for(services, job_id, State.SUCCEEDED)
    assert f'href="/ui/new?kind=createExport&amp;job={job_id}"' in look(job_id)
