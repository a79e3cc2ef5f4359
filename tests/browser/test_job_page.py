"""The page of one job, in a browser: what somebody does who has uploaded the wrong file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.support.chromium import Watched, assert_accessible
from tests.support.server import Server

ODD_NAME = "<img src=x onerror=alert(1)> & שלום " + "very-long-" * 20 + ".csv"
ODD_FILE = (
    'date,<b>bold</b>,שם\n2026-01-01,"<script>alert(1)</script>","אמר ""שלום"""\n'
    f'2026-01-02,"{"x" * 5000}",y\nnever,"</td><img src=x>",x\n'
).encode()


WHILE_MS = 10_000
"""For so long somebody looks whether a job that has stopped does any more."""

OPEN_ALL = "for (const part of document.querySelectorAll('details')) part.open = true"

TOO_WIDE = """
[...document.querySelectorAll(".panel")]
  .filter((panel) => panel.scrollWidth > panel.clientWidth)
  .map((panel) => panel.className)
"""
"""The panels of which something stands out."""


def start_ticks(server: Server, count: int = 100_000, **more: float) -> str:
    """A job that runs until it is stopped."""
    status, job = server.post("/kinds/ticks/jobs", {"count": count, **more})
    assert status == 201, job
    return str(job["id"])


def upload(server: Server, name: str, content: bytes, **fields: str) -> str:
    answer = httpx.post(f"{server.url}/uploadCSV", files={"file": (name, content)}, data=fields)
    job_id = str(answer.json()["Job ID"])
    server.wait_for(job_id, "succeeded", "failed")
    return job_id


def figure(page: Page, name: str) -> int:
    shown = page.locator(".figures div", has=page.locator("dt", has_text=name)).locator("dd").inner_text()
    return int(shown.replace(",", ""))


def button(page: Page, name: str) -> None:
    page.locator(".standing").get_by_text(name, exact=True).click()


def look_again(page: Page) -> None:
    """What happens when somebody comes back to a page: it is renewed at once."""
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def test_the_wrong_file_is_stopped_and_undone(page: Page, server: Server, tmp_path: Path) -> None:
    """Rows are seen to appear, a button stops them, and not one is done after that; then all are removed."""
    rows = "".join(f"2026-01-01,{number}\n" for number in range(3_000_000))
    file = tmp_path / "wrong.csv"
    file.write_text(f"date,n\n{rows}")
    page.goto("/ui/new?kind=baselineCSV")
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_role("button", name="Import now").click()
    page.wait_for_url("**/ui/jobs/*")
    job_id = urlsplit(page.url).path.rpartition("/")[2]
    expect(page.get_by_role("heading", name="wrong.csv")).to_be_visible()
    expect(page.locator(".figures dd").first).not_to_have_text("0")
    expect(page.locator("#details")).to_contain_text("What it has made")
    button(page, "Pause")
    expect(page.locator("#sentence")).to_contain_text("Stopped at row")
    state, done = server.stored(job_id)
    assert state == "paused"
    assert 0 < done < 3_000_000
    expect(page.locator("#sentence")).to_contain_text(f"Stopped at row {done:,}.")
    # No event tells that nothing happens.
    page.wait_for_timeout(WHILE_MS)
    assert figure(page, "done") == done
    page.reload()
    assert figure(page, "done") == done
    assert server.stored(job_id) == ("paused", done)
    assert server.count_records(job_id) == done
    button(page, "Terminate…")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(f"It has made {done:,} rows so far.")
    assert_accessible(page)
    dialog.get_by_role("button", name=f"Terminate and remove {done:,} rows").click()
    expect(page.locator("#sentence")).to_have_text("Rolled back: nothing of it is left.", timeout=60_000)
    assert server.count_records(job_id) == 0
    assert server.stored(job_id) == ("terminated", 0)
    expect(page.locator("#details")).not_to_contain_text("What it has made")


def test_a_button_that_was_pressed_says_what_it_does_next(page: Page, server: Server) -> None:
    """It has the focus, and is renewed nevertheless; and so is the history, at once."""
    job_id = start_ticks(server)
    page.goto(f"/ui/jobs/{job_id}")
    buttons = page.locator(".standing button")
    for pressed, then, state in (("Pause", "Resume", "paused"), ("Resume", "Pause", "running")):
        buttons.filter(has_text=pressed).click()
        expect(buttons.filter(has_text=then)).to_be_visible()
        expect(buttons.filter(has_text=pressed)).to_have_count(0)
        expect(page.locator(".timeline").first).to_contain_text(state, timeout=1500)
    server.post(f"/jobs/{job_id}/terminate")


NO_LONG_TIMERS = """
const later = window.setTimeout;
window.setTimeout = (call, ms, ...more) => (ms > 3000 ? 0 : later(call, ms, ...more));
"""
"""The details of a page, which ask every 4 s, never ask by themselves; where the job stands asks every 2 s."""


def test_the_details_follow_a_change_of_state_that_somebody_else_has_made(page: Page, server: Server) -> None:
    job_id = start_ticks(server)
    page.add_init_script(NO_LONG_TIMERS)
    page.goto(f"/ui/jobs/{job_id}")
    server.post(f"/jobs/{job_id}/pause")
    expect(page.locator("#sentence")).to_contain_text("Stopped at row")
    expect(page.locator(".timeline").first).to_contain_text("paused")
    server.post(f"/jobs/{job_id}/terminate")


def test_what_a_form_has_led_to_is_told_once(page: Page, server: Server) -> None:
    job_id = start_ticks(server)
    page.goto(f"/ui/jobs/{job_id}?said=job.create")
    expect(page.locator("#messages .message")).to_be_visible()
    assert page.url.endswith(f"/ui/jobs/{job_id}")
    page.reload()
    expect(page.locator("#messages .message")).to_have_count(0)
    server.post(f"/jobs/{job_id}/terminate")


def test_a_question_is_answered_with_no_too(page: Page, server: Server) -> None:
    job_id = start_ticks(server)
    page.goto(f"/ui/jobs/{job_id}")
    dialog = page.get_by_role("dialog")
    for leave in (lambda: dialog.get_by_text("Cancel").click(), lambda: page.keyboard.press("Escape")):
        button(page, "Terminate…")
        expect(dialog).to_be_visible()
        leave()
        expect(dialog).to_be_hidden()
    assert server.job(job_id)["state"] == "running"
    button(page, "Terminate…")
    dialog.get_by_role("button", name="Only terminate").click()
    expect(page.locator("#sentence")).to_contain_text("for good. What it has made is still there")
    assert server.count_records(job_id) == server.job(job_id)["progress"]["done"]


def test_without_script_a_job_is_terminated_after_a_page_has_asked(
    open_page: Callable[..., Watched], server: Server
) -> None:
    job_id = start_ticks(server)
    page = open_page(java_script_enabled=False).page
    page.goto(f"/ui/jobs/{job_id}")
    page.locator(".standing").get_by_text("Terminate…").click()
    expect(page.get_by_role("heading", name="Terminate count 100000")).to_be_visible()
    page.get_by_role("button", name="Only terminate").click()
    expect(page.locator("#messages")).to_have_text("The job is terminated.")
    assert page.url.endswith(f"/ui/jobs/{job_id}?said=job.terminate")
    expect(page.locator("#sentence")).to_contain_text("for good")


def test_two_people_see_the_same(open_page: Callable[..., Watched], server: Server) -> None:
    job_id = start_ticks(server)
    one, other = open_page().page, open_page().page
    for page in (one, other):
        page.goto(f"/ui/jobs/{job_id}")
        expect(page.locator(".standing .badge")).to_have_text("running")
    button(one, "Pause")
    for page in (one, other):
        expect(page.locator("#sentence")).to_contain_text("Stopped at row")
        expect(page.locator(".timeline").first).to_contain_text("paused")
    assert one.locator("#sentence").inner_text() == other.locator("#sentence").inner_text()
    button(other, "Resume")
    look_again(one)
    for page in (one, other):
        expect(page.locator(".standing .badge")).to_have_text("running")
    server.post(f"/jobs/{job_id}/terminate")


def test_open_parts_stay_open_when_the_page_is_renewed(page: Page, server: Server) -> None:
    job_id = upload(server, "x.csv", b"date,n\nnever,1\n2026-01-01,2\n", max_failed="0")
    page.goto(f"/ui/jobs/{job_id}")
    page.get_by_text("an example").click()
    page.get_by_text("The same as commands").click()
    with page.expect_response(lambda answer: answer.url.endswith("/details")):
        look_again(page)
    expect(page.get_by_role("region", name="Examples")).to_contain_text("never,1")
    expect(page.locator("#commands")).to_contain_text(f"jobsvc rollback {job_id}")
    button(page, "Roll back…")
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page.locator("#sentence")).to_have_text("Rolled back: nothing of it is left.")
    expect(page.get_by_role("region", name="Examples")).to_be_visible()


def test_an_export_and_refused_rows_are_downloaded(page: Page, server: Server) -> None:
    imported = upload(server, "x.csv", b"date,n\n2026-03-01,1\nnever,2\n")
    page.goto(f"/ui/jobs/{imported}")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download all").click()
    assert download.value.path().read_bytes().startswith(b"_line,_error,date,n\n3,")
    job_id = server.export("2026-03-01", "2026-03-01")
    server.wait_for(job_id, "succeeded")
    page.goto(f"/ui/jobs/{job_id}")
    with page.expect_download() as download:
        page.get_by_role("link", name="Its file").click()
    assert b"2026-03-01" in download.value.path().read_bytes()
    assert download.value.path().read_bytes() == server.get_bytes(f"/jobs/{job_id}/result")


def test_names_and_cells_of_others_show_as_text_and_fit(open_page: Callable[..., Watched], server: Server) -> None:
    job_id = upload(server, ODD_NAME, ODD_FILE)
    for width in (360, 1280):
        page = open_page(viewport={"width": width, "height": 800}).page
        page.goto(f"/ui/jobs/{job_id}")
        expect(page.get_by_role("heading", level=1)).to_have_text(ODD_NAME)
        expect(page.locator("table.cells").last).to_contain_text("<script>alert(1)</script>")
        expect(page.get_by_text('אמר "שלום"')).to_be_visible()
        page.evaluate(OPEN_ALL)
        expect(page.locator("#first-refused")).to_contain_text('never,"</td><img src=x>",x')
        assert page.locator("#details img").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate(TOO_WIDE) == [], "what is wide is scrolled within its panel"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_use_it(open_page: Callable[..., Watched], server: Server, scheme: str) -> None:
    content = b"date,n\n" + b"2026-01-01,1\nnever,2\n\n" * 3
    ids = [
        upload(server, "x.csv", content),
        upload(server, "x.csv", content, max_failed="0"),
        upload(server, "x.csv", content, dry_run="true"),
        start_ticks(server),
    ]
    page = open_page(color_scheme=scheme).page
    for job_id in ids:
        page.goto(f"/ui/jobs/{job_id}")
        page.evaluate(OPEN_ALL)
        assert_accessible(page)
    server.post(f"/jobs/{ids[-1]}/terminate")


def test_a_command_is_copied(open_page: Callable[..., Watched], server: Server) -> None:
    job_id = start_ticks(server, count=1)
    page = open_page(permissions=["clipboard-read", "clipboard-write"]).page
    page.goto(f"/ui/jobs/{job_id}")
    page.get_by_role("button", name="Copy the id").click()
    expect(page.get_by_role("status")).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == job_id


def test_a_job_that_is_deleted_takes_its_page_along(open_page: Callable[..., Watched], server: Server) -> None:
    job_id = start_ticks(server, count=1)
    server.wait_for(job_id, "succeeded")
    one, other = open_page(), open_page()
    other.allow("404")
    for watched in (one, other):
        watched.page.goto(f"/ui/jobs/{job_id}")
    button(one.page, "Delete…")
    one.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    one.page.wait_for_url("**/")
    look_again(other.page)
    expect(other.page.get_by_role("heading")).to_have_text("This job was deleted")
    other.page.get_by_role("link", name="All jobs").click()
    expect(other.page.get_by_role("heading", name="Jobs")).to_be_visible()


def test_its_speed_is_a_chart_and_a_table(page: Page, server: Server) -> None:
    job_id = start_ticks(server, seconds=0.01)
    page.goto(f"/ui/jobs/{job_id}")
    expect(page.get_by_role("img", name="How many rows per second")).to_be_visible(timeout=30_000)
    expect(page.locator("#speed-chart canvas")).to_be_visible()
    page.get_by_text("As a table").click()
    rows = page.locator("#speed-table tr")
    known = len(server.get(f"/jobs/{job_id}/samples")["samples"])
    expect(rows.nth(known)).to_be_visible(timeout=30_000)
    expect(rows.nth(0)).to_contain_text("0")
    assert_accessible(page)
    server.post(f"/jobs/{job_id}/terminate")


def test_what_was_checked_is_imported_by_its_button_and_only_after_a_question_once_more(
    page: Page, server: Server
) -> None:
    check = upload(server, "guests.csv", b"date,n\n2026-01-01,1\nnever,2\n2026-01-03,3\n", dry_run="true")
    page.goto(f"/ui/jobs/{check}")
    expect(page.locator(".report")).to_contain_text("The field doesn't begin with a date")
    page.get_by_role("button", name="Apply: import these 2 rows").dblclick()
    page.wait_for_url(lambda url: check not in url)
    expect(page.locator("#sentence")).to_contain_text("2 rows done, 1 refused")
    [real] = server.job(check)["applied_as"]
    assert real in page.url, "a button that is pressed twice makes one job"
    assert server.count_records(real) == 2
    page.get_by_role("link", name=check).click()
    expect(page.locator(".apply")).to_contain_text(f"Applied as {real}.")
    page.get_by_text("Apply again").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(f"It was applied already, as {real}.")
    dialog.get_by_text("Cancel").click()
    page.get_by_text("Apply again").click()
    dialog.get_by_role("button", name="Import 2 rows again").click()
    page.wait_for_url(lambda url: check not in url)
    assert len(server.job(check)["applied_as"]) == 2
