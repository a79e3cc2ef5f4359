"""What else a job's page shows: the texts of others as text, and nothing to those whom it does not concern."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from jobsvc.access.key_ring import KeyRing
from jobsvc.jobs.states import State
from jobsvc.service.new_job import NewJob
from jobsvc.store.database import Database
from jobsvc.store.queries import webhook_rows
from jobsvc.web.services import Services
from tests.support.browser import PAGE_VIEW, Browser
from tests.support.gated import Gated
from tests.support.requests import assert_problem, held, part, send, submit_gated, upload, whole
from tests.support.waiting import wait_for
from tests.web.dashboard.job.conftest import Look

ODD_NAME = '<img src=x onerror=alert(1)> "a" & שלום.csv'
ODD_FILE = (
    'date,<b>bold</b>,שם\n2026-01-01,"<script>alert(1)</script>","אמר ""שלום"""\nnever,"</td><img src=x>",x\n'.encode()
)

KEYS = {role: f"key-of-the-{role}-{'0' * 20}" for role in ("viewer", "user", "operator")}


def of_a_file(client: FlaskClient, services: Services, name: str, content: bytes, **fields: str) -> str:
    form = [part(field, text.encode()) for field, text in fields.items()]
    # A quote mark in a name is sent as browsers of before sent it: those of today write %22.
    answer = send(client, whole(*form, part("file", content, name.replace('"', '\\"').encode())))
    job_id = str(answer.get_json()["Job ID"])
    wait_for(services, job_id, State.SUCCEEDED, State.FAILED)
    return job_id


def test_names_and_cells_with_html_are_text(client: FlaskClient, services: Services, look: Look) -> None:
    job_id = of_a_file(client, services, ODD_NAME, ODD_FILE)
    assert services.jobs.get(job_id).filename == ODD_NAME
    text = look(job_id)
    for tag in ("<img src=x", "<b>", "<script>alert"):
        assert tag not in text
    assert '<bdi class="text">&lt;img src=x onerror=alert(1)&gt; &#34;a&#34; &amp; שלום.csv</bdi>' in text
    assert "&lt;b&gt;bold&lt;/b&gt;" in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert 'dir="auto"><div class="cell">אמר &#34;שלום&#34;</div>' in text
    assert "&lt;/td&gt;&lt;img src=x&gt;" in text


@pytest.mark.both_databases
def test_refused_rows_are_grouped_by_reason_and_shown_as_they_were_sent(
    client: FlaskClient, services: Services, look: Look
) -> None:
    rows = b"".join(b"never,%d\n" % number for number in range(120)) + b"2026-01-01,1\n2026-01-01\n"
    job_id = of_a_file(client, services, "x.csv", b"date,n\n" + rows)
    text = look(job_id)
    assert re.search(r'figure">120</td>\s*<td class="text"><p dir="auto">The field doesn&#39;t begin with a date', text)
    assert re.search(r'figure">1</td>\s*<td class="text"><p dir="auto">Fewer fields than', text)
    assert "The first 100, as they were sent" in text
    assert "never,99</code>" in text
    assert "never,100</code>" not in text
    assert f'href="/jobs/{job_id}/failed"' in text


def test_what_it_has_made_stands_in_the_columns_of_its_file(
    client: FlaskClient, services: Services, look: Look
) -> None:
    text = look(of_a_file(client, services, "x.csv", b"date,name\n2026-01-01,Ann\n"))
    made = text.split('id="made-title"')[1]
    assert re.findall(r"<bdi>(.*?)</bdi>", made)[:4] == ["row", "record date", "date", "name"]
    assert re.findall(r'class="cell">(.*?)</div>', made)[:4] == ["1", "2026-01-01", "2026-01-01", "Ann"]
    assert "That is all." in made


def test_teams_are_shown_with_their_members(client: FlaskClient, services: Services, look: Look) -> None:
    job_id = upload(client, b"team,members\nReds,Ann;Bob\n", "/createBulkTeam")
    wait_for(services, job_id, State.SUCCEEDED)
    made = look(job_id).split('id="made-title"')[1]
    assert re.findall(r'class="cell">(.*?)</div>', made)[:3] == ["1", "Reds", "Ann, Bob"]


def test_of_a_wide_file_the_first_columns_are_shown_and_long_cells_are_cut(
    client: FlaskClient, services: Services, look: Look
) -> None:
    names, cells = (",".join(f"c{number}" for number in range(60)), ",".join("x" * 1000 for _ in range(60)))
    text = look(of_a_file(client, services, "wide.csv", f"{names}\n{cells}\n".encode()))
    assert "20 more columns are not shown." in text
    assert "x" * 301 not in text


def test_a_dry_run_reports_what_an_import_would_do(client: FlaskClient, services: Services, look: Look) -> None:
    content = b"date,n\n2026-01-01,1\n\nnever,2\n2026-01-03,3\n"
    text = look(of_a_file(client, services, "x.csv", content, dry_run="true"))
    report = text.split('id="report-title"')[1].split("columns")[0]
    figures = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", report))
    assert figures == {"would be done": "2", "would be refused": "1", "blank lines": "1"}
    assert "The field doesn&#39;t begin with a date" in report
    assert 'id="made-title"' not in text
    assert "data-ask" not in text, "there is nothing to roll back"


def test_downloads_are_there_when_there_is_something_to_download(
    client: FlaskClient, services: Services, look: Look
) -> None:
    job_id = of_a_file(client, services, "x.csv", b"date,n\n2026-01-01,1\nnever,2\n2026-01-01,3\n", max_failed="0")
    text = look(job_id)
    assert f'href="/jobs/{job_id}/failed"' in text
    assert "/result" not in text
    export = client.post("/exportData", json={"from": "2026-01-01", "to": "2026-01-01"}).get_json()["Job ID"]
    wait_for(services, export, State.SUCCEEDED)
    text = look(export)
    assert f'href="/jobs/{export}/result"' in text
    assert "/unprocessed" not in text
    assert "1 day done" in text


def test_what_was_not_come_to_can_be_downloaded_once_it_stands_still(
    client: FlaskClient, services: Services, gated: Gated, look: Look
) -> None:
    for _ in range(services.settings.max_running):
        submit_gated(services)
    gated.gate.wait_reached(services.settings.max_running)
    job_id = upload(client)
    assert "/unprocessed" not in look(job_id)
    client.post(f"/jobs/{job_id}/pause")
    assert f'href="/jobs/{job_id}/unprocessed"' in look(job_id)


@pytest.mark.both_databases
def test_the_history_tells_who_did_it_and_how_long_it_stayed_so(
    client: FlaskClient, services: Services, gated: Gated, look: Look
) -> None:
    job_id = held(services, gated)
    client.post(f"/jobs/{job_id}/pause?wait=0")
    history = look(job_id).split('id="history-title"')[1].split("</ol>")[0]
    assert re.findall(r"<strong>(\w+)</strong>", history) == ["pausing", "running", "queued"]
    assert 'by <bdi class="text">Jon-Doe</bdi>: pause was asked for' in history
    assert "by <bdi" not in history.split("<strong>running")[1].split("<strong>queued")[0]
    assert history.count('class="stayed">for ') == 2, "it still is pausing"


def test_commands_are_those_that_its_buttons_ask(services: Services, gated: Gated, look: Look) -> None:
    job_id = held(services, gated)
    commands = look(job_id).split('id="commands"')[1]
    assert f">jobsvc pause {job_id} --url http://localhost<" in commands
    assert f">curl -X POST http://localhost/jobs/{job_id}/pause<" in commands
    assert f">jobsvc terminate {job_id} --rollback --url http://localhost<" in commands
    assert "jobsvc resume" not in commands
    assert "Authorization" not in commands


def test_a_job_that_was_deleted_has_a_page_that_says_so(
    client: FlaskClient, services: Services, browser: Browser
) -> None:
    job_id = of_a_file(client, services, "x.csv", b"date,n\n2026-01-01,1\n")
    assert client.delete(f"/jobs/{job_id}").status_code == 204
    answer = browser.get(f"/ui/jobs/{job_id}", {"Accept": PAGE_VIEW})
    assert (answer.status_code, answer.mimetype) == (404, "text/html")
    assert "This job was deleted" in answer.text
    assert 'href="/"' in answer.text
    assert f'href="/records?job={job_id}"' in answer.text
    assert_problem(browser.get(f"/ui/jobs/{job_id}/details", {"Accept": "*/*"}), 404, "unknown-job")


def test_a_job_that_never_was_has_no_page(browser: Browser) -> None:
    answer = browser.get("/ui/jobs/none", {"Accept": PAGE_VIEW})
    assert (answer.status_code, answer.mimetype) == (404, "text/html")
    assert "deleted" not in answer.text
    assert_problem(browser.get("/ui/jobs/none"), 404, "unknown-job")


class TestDetails:
    """The part that is made anew only if there is something new."""

    def tag(self, browser: Browser, job_id: str) -> str:
        return str(browser.get(f"/ui/jobs/{job_id}/details").headers["ETag"])

    def test_they_are_not_sent_again_to_whoever_has_them(
        self, client: FlaskClient, services: Services, browser: Browser
    ) -> None:
        job_id = of_a_file(client, services, "x.csv", b"date,n\n2026-01-01,1\n")
        page = browser.get(f"/ui/jobs/{job_id}", {"Accept": PAGE_VIEW}).text
        tag = self.tag(browser, job_id)
        assert f'data-tag="{tag.strip(chr(34))}"' in page
        answer = browser.get(f"/ui/jobs/{job_id}/details", {"If-None-Match": tag})
        assert (answer.status_code, answer.data) == (304, b"")

    def test_they_stay_the_same_while_rows_are_done(self, services: Services, gated: Gated, browser: Browser) -> None:
        gated.gate.open(30)
        job_id = submit_gated(services, count=60)
        gated.gate.wait_reached(31)
        tag = self.tag(browser, job_id)
        gated.gate.open(10)
        gated.gate.wait_reached(41)
        assert self.tag(browser, job_id) == tag

    def test_they_change_with_the_state(
        self, client: FlaskClient, services: Services, gated: Gated, browser: Browser
    ) -> None:
        job_id = held(services, gated)
        tag = self.tag(browser, job_id)
        client.post(f"/jobs/{job_id}/pause?wait=0")
        assert self.tag(browser, job_id) != tag

    @pytest.mark.parametrize(
        "change",
        [
            "UPDATE jobs SET failed = failed + 1",
            "UPDATE jobs SET blank = blank + 1",
            "UPDATE jobs SET done = done + 1",
            "UPDATE jobs SET warnings = '[\"look\"]'",
            "UPDATE jobs SET files_removed_at = '2026-01-01 00:00:00.000000'",
            "UPDATE job_log SET line = line + 1",
            "UPDATE webhooks SET attempts = attempts + 1",
        ],
    )
    def test_they_change_with_whatever_they_show(
        self, services: Services, gated: Gated, browser: Browser, change: str
    ) -> None:
        """Also while the job is in the same state: it has done nothing yet, so that one more row is shown, too."""
        new = NewJob(
            id=services.jobs.new_id("Jon-Doe", "gated"),
            kind="gated",
            user="Jon-Doe",
            params={"count": 10},
            callback_url="http://127.0.0.1:9/",
        )
        job_id = services.jobs.submit(new).id
        gated.gate.wait_reached(1)
        database = Database(services.settings.url)
        try:
            if "webhooks" in change:
                job = services.jobs.get(job_id)
                with database.write() as connection:
                    message = {"message_id": "1", "url": "http://127.0.0.1:9/", "body": "{}"}
                    webhook_rows.add(connection, job.key, at=job.created_at, **message)
            tag = self.tag(browser, job_id)
            with database.write() as connection:
                assert connection.execute(text(change)).rowcount > 0
        finally:
            database.close()
        assert self.tag(browser, job_id) != tag


class TestRights:
    @pytest.fixture
    def app(self, make_app: Callable[..., Flask]) -> Flask:
        ring = ",".join(f"{role}:{key}:{role}" for role, key in KEYS.items())
        return make_app(api_keys=KeyRing.read(f"{ring},bob:key-of-bob-{'0' * 20}"))

    def page(self, app: Flask, key: str, job_id: str, more: str = "") -> tuple[int, str]:
        answer = (
            Browser(app)
            .log_in(key)
            .get(f"/ui/jobs/{job_id}{more}", {"Accept": PAGE_VIEW, "Sec-Fetch-Site": "same-origin"})
        )
        return answer.status_code, answer.text

    @pytest.fixture
    def job_id(self, app: Flask, gated: Gated) -> str:
        """A running job of the user's."""
        services: Services = app.extensions["jobsvc"]
        return held(services, gated, user="user")

    def test_a_viewer_sees_no_button(self, app: Flask, job_id: str) -> None:
        status, text = self.page(app, KEYS["viewer"], job_id)
        assert status == 200
        assert f"/jobs/{job_id}/pause" not in text
        assert "data-ask" not in text
        assert "jobsvc pause" not in text
        status, text = self.page(app, KEYS["viewer"], job_id, "/terminate")
        assert status == 200
        assert f'action="/jobs/{job_id}' not in text

    @pytest.mark.parametrize("role", ["user", "operator"])
    def test_who_may_steer_it_sees_the_buttons(self, app: Flask, job_id: str, role: str) -> None:
        text = self.page(app, KEYS[role], job_id)[1]
        assert f'action="/jobs/{job_id}/pause"' in text
        assert "$JOBSVC_API_KEY" in text

    def test_another_user_is_told_that_there_is_no_such_job(self, app: Flask, job_id: str) -> None:
        for more in ("", "/details", "/terminate", "/rollback"):
            status, text = self.page(app, f"key-of-bob-{'0' * 20}", job_id, more)
            assert status == 404
            assert "deleted" not in text

    def test_a_user_is_not_told_of_others_in_the_queue(self, app: Flask, gated: Gated) -> None:
        services: Services = app.extensions["jobsvc"]
        for _ in range(services.settings.max_running):
            submit_gated(services, user="bob")
        gated.gate.wait_reached(services.settings.max_running)
        job_id = submit_gated(services, user="user")
        assert "Waits for a free slot.</p>" in self.page(app, KEYS["user"], job_id)[1]
        assert "It is next." in self.page(app, KEYS["viewer"], job_id)[1]
