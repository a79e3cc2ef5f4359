"""The page on which a job is begun, in a browser: the preview that follows the options, and what is sent."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import FilePayload, Page, Route, expect

from tests.support.chromium import Watched, assert_accessible
from tests.support.server import Server
from tests.support.waiting import TIMEOUT, poll

GUESTS = b"guest;arrives;room\nAnn;31/01/2026;7\nBob;01/02/2026;8\nCleo;30/02/2026;9\n"

ODD_NAME = '<img src=x onerror=alert(1)> "a" & שלום.csv'

A_JOB = re.compile(r"/jobs/([\w-]+)")


def file(data: bytes, name: str = "guests.csv") -> FilePayload:
    return {"name": name, "mimeType": "text/csv", "buffer": data}


def choose(
    page: Page, data: bytes = GUESTS, name: str = "guests.csv", kind: str = "baselineCSV", more: str = ""
) -> None:
    """Open the page of a kind, choose a file, and wait for its preview."""
    page.goto(f"/ui/new?kind={kind}{more}")
    page.locator("#file").set_input_files(file(data, name))
    expect(page.locator("#preview .verdict")).to_be_visible()
    expect(page.locator("#preview")).to_have_attribute("aria-busy", "false")


def sample(page: Page) -> list[list[str]]:
    """The table of the first rows: its head, and its rows."""
    rows: list[list[str]] = page.locator(".sample tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    )
    return rows


def created(page: Page, server: Server, *states: str) -> str:
    """Wait until the browser is at the page of a job, and the job in one of the states; returns its id."""
    page.wait_for_url(A_JOB)
    found = A_JOB.search(page.url)
    assert found is not None
    server.wait_for(found[1], *states)
    return found[1]


def test_the_preview_changes_with_the_options_and_a_suggestion_is_taken(page: Page) -> None:
    choose(page)
    assert sample(page)[0] == ["Row", "Date", "guest", "arrives", "room"]
    page.get_by_text("How the file is read").click()
    page.get_by_label("Fields are separated by", exact=True).select_option("comma")
    expect(page.locator(".sample th")).to_have_text(["Row", "Date", "guest;arrives;room", "1", "2", "3"])
    page.get_by_label("Fields are separated by", exact=True).select_option("semicolon")
    expect(page.locator(".sample thead th")).to_have_count(5)
    page.get_by_role("button", name="Use it: Take the dates as 31/12/2026 from the column arrives").click()
    expect(page.locator(".verdict")).to_contain_text("1 of 3 rows would be refused.")
    expect(page.get_by_label("Column with the date")).to_have_value("arrives")
    assert sample(page)[1:] == [
        ["1", "2026-01-31", "Ann", "31/01/2026", "7"],
        ["2", "2026-02-01", "Bob", "01/02/2026", "8"],
    ]
    expect(page.locator("#check")).to_have_class("button strong")
    expect(page.locator("#preview-told")).to_contain_text("1 of 3 rows would be refused.")
    expect(page.locator("#reading .changed")).to_have_text("3 changed")
    assert_accessible(page)
    # With refused rows in sight, too.
    page.get_by_label("Fields are separated by", exact=True).select_option("auto")
    expect(page.locator(".facts")).to_contain_text("semicolon (detected)")
    expect(page.locator("#reading .changed")).to_have_text("2 changed")


def test_what_the_words_of_a_refusal_name_is_a_suggestion_too(page: Page) -> None:
    choose(page, b"a,b\n1,2\n3\n")
    expect(page.locator(".verdict")).to_contain_text("1 of 2 rows would be refused.")
    page.get_by_role("button", name="Use it: Fill up rows with too few fields with empty ones.").click()
    expect(page.locator(".verdict")).to_contain_text("All 2 rows would be taken")
    expect(page.locator(".suggested")).to_have_count(0)


def test_another_delimiter_than_those_that_are_offered_is_written(page: Page) -> None:
    choose(page, b"a^b\n1^2\n")
    page.get_by_text("How the file is read").click()
    page.get_by_label("Fields are separated by", exact=True).select_option("another…")
    page.get_by_label("Fields are separated by: another one").fill("^")
    expect(page.locator(".sample thead th")).to_have_text(["Row", "Date", "a", "b"])


def test_a_wrong_option_is_told_beside_its_field_and_nothing_typed_is_lost(watched: Watched) -> None:
    page = watched.page
    choose(page)
    page.get_by_text("How the file is read").click()
    field = page.get_by_label("Column with the date")
    field.fill("arrived")
    error = page.locator("[data-field=date_column] .error")
    expect(error).to_contain_text("There is no column 'arrived'")
    expect(field).to_have_attribute("aria-invalid", "true")
    assert error.get_attribute("id") in (field.get_attribute("aria-describedby") or "")
    page.get_by_role("button", name="Import now").click()
    # It is known already that it would be refused: nothing is sent.
    expect(field).to_be_focused()
    expect(page.locator("#picked-name")).to_have_text("guests.csv")
    assert_accessible(page)
    field.fill("arrives")
    expect(error).to_be_hidden()
    expect(field).not_to_have_attribute("aria-invalid", "true")


def test_a_check_makes_nothing_and_is_applied_and_an_import_makes_the_rows(page: Page, server: Server) -> None:
    choose(page, more="&date_column=arrives&date_format=%25d/%25m/%25Y")
    page.get_by_role("button", name="Check first").click()
    checked = created(page, server, "succeeded")
    job = server.job(checked)
    assert (job["params"]["dry_run"], job["progress"]["done"], job["progress"]["failed"]) == (True, 2, 1)
    assert server.count_records(checked) == 0
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url(lambda url: A_JOB.search(url) is not None and checked not in url)
    applied = created(page, server, "succeeded")
    assert (server.job(applied)["params"]["dry_run"], server.count_records(applied)) == (False, 2)
    choose(page, more="&date_column=arrives&date_format=%25d/%25m/%25Y")
    page.get_by_role("button", name="Import now").click()
    imported = created(page, server, "succeeded")
    assert (server.job(imported)["filename"], server.count_records(imported)) == ("guests.csv", 2)


DROP = """
([text, names]) => {
  const transfer = new DataTransfer();
  for (const name of names) transfer.items.add(new File([text], name, { type: "text/csv" }));
  const made = (type) => new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer: transfer });
  document.body.dispatchEvent(made("dragover"));
  return !document.body.dispatchEvent(made("drop"));
}
"""


def test_a_file_is_dropped_anywhere_on_the_page_and_two_are_refused(page: Page, server: Server) -> None:
    page.goto("/ui/new?kind=bulkTeam")
    assert page.evaluate(DROP, ["team,members\nReds,Ann\n", ["one.csv", "two.csv"]]) is True
    expect(page.locator("#e-file")).to_have_text("These are 2 files: a job takes one.")
    assert page.evaluate(DROP, [f"team,members\nReds of {server.port},Ann;Bob\n", ["one.csv"]]) is True
    expect(page.locator(".sample thead th")).to_have_text(["Row", "Name", "Members"])
    expect(page.locator("#e-file")).to_be_hidden()
    page.get_by_role("button", name="Import now").click()
    job_id = created(page, server, "succeeded")
    assert server.job(job_id)["filename"] == "one.csv"


def test_an_upload_is_cancelled_and_leaves_nothing(watched: Watched, server: Server, tmp_path: Path) -> None:
    page = watched.page
    before, jobs = server.files(), server.get("/jobs")["jobs"]
    large = tmp_path / "large.csv"
    large.write_bytes(b"a,b\n" + b"1,2\n" * 2_000_000)
    page.goto("/ui/new?kind=baselineCSV")
    page.locator("#file").set_input_files(large)
    expect(page.locator("#preview .verdict")).to_be_visible()
    slow = page.context.new_cdp_session(page)
    slow.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 1_000_000},
    )
    page.get_by_role("button", name="Import now").click()
    expect(page.locator("#sending-figures")).to_contain_text("MiB of 7.6 MiB")
    expect(page.locator("#sending-figures")).to_contain_text("left")
    assert_accessible(page)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#e-form")).to_have_text("The upload was cancelled; nothing of it was kept.")
    expect(page.get_by_role("button", name="Import now")).to_be_focused()
    poll(lambda: server.files() == before, 30, "the file of the upload to be gone")
    assert server.get("/jobs")["jobs"] == jobs


def test_an_upload_whose_answer_is_lost_makes_one_job_however_often_it_is_sent(
    watched: Watched, server: Server
) -> None:
    watched.allow("ERR_FAILED|ERR_CONNECTION")
    page = watched.page
    choose(page, b"a,b\n1,2\n", "once.csv")

    def lose(route: Route) -> None:
        route.fetch()
        route.abort()

    page.route("**/kinds/*/jobs", lose, times=1)
    page.get_by_role("button", name="Import now").click()
    expect(page.locator("#e-form")).to_contain_text("The connection was lost")
    expect(page.locator("#picked-name")).to_have_text("once.csv")
    page.get_by_role("button", name="Import now").click()
    created(page, server, "succeeded")
    assert [job["filename"] for job in server.get("/jobs")["jobs"]].count("once.csv") == 1


def test_what_the_service_says_is_told_and_the_form_stays(watched: Watched) -> None:
    watched.allow("507|503|413")
    page = watched.page
    choose(page, b"a,b\n1,2\n")
    answers = [
        (507, "60", "there is no room on the disk", "There is no room on the disk. Try again in 1 min 0 s."),
        (503, "10", "5 jobs are waiting already", "5 jobs are waiting already. Try again in 10 s."),
    ]
    for status, after, detail, told in answers:
        headers = {"Retry-After": after} if after else {}
        refuse = partial(answered, status=status, headers=headers, detail=detail)
        page.route("**/kinds/*/jobs", refuse, times=1)
        page.get_by_role("button", name="Import now").click()
        expect(page.locator("#e-form")).to_have_text(told)
        expect(page.locator("#picked-name")).to_have_text("guests.csv")
    page.route("**/kinds/*/jobs", partial(answered, status=413, headers={}, detail="too large"), times=1)
    page.get_by_role("button", name="Import now").click()
    expect(page.locator("#e-file")).to_contain_text("The file is too large")


def test_who_is_not_logged_in_any_more_is_told_so_and_keeps_what_was_typed(watched: Watched) -> None:
    watched.allow("401")
    page = watched.page
    choose(page, b"a,b\n1,2\n")
    page.route("**/kinds/*/jobs", partial(answered, status=401, headers={}, detail="a key is needed"), times=1)
    page.get_by_role("button", name="Import now").click()
    expect(page.locator("#e-form")).to_contain_text("You are not logged in any more.")
    expect(page.locator("#e-form").get_by_role("link")).to_have_attribute("target", "_blank")
    expect(page.locator("#picked-name")).to_have_text("guests.csv")
    expect(page.get_by_role("button", name="Import now")).to_be_enabled()


def answered(route: Route, *, status: int, headers: dict[str, str], detail: str) -> None:
    """Answer in the place of the service, with what it can't be brought to say at will."""
    route.fulfill(status=status, headers=headers, json={"detail": detail})


def test_a_preview_waits_as_it_is_told_and_asks_again_by_itself(watched: Watched) -> None:
    watched.allow("503")
    page = watched.page
    busy = {"detail": "other previews are being made; try again later"}
    page.route(
        "**/previews?*", lambda route: route.fulfill(status=503, headers={"Retry-After": "1"}, json=busy), times=1
    )
    page.goto("/ui/new?kind=baselineCSV")
    page.locator("#file").set_input_files(file(GUESTS))
    expect(page.locator("#preview .verdict")).to_contain_text("Asking again in 2 seconds.")
    expect(page.locator(".sample")).to_be_visible()


def test_a_kind_of_ones_own_has_a_form_with_errors_beside_its_fields(watched: Watched, server: Server) -> None:
    watched.allow("400")
    page = watched.page
    page.goto("/ui/new")
    page.get_by_role("link", name="badges").click()
    page.locator("#file").set_input_files(file(b"name\nAnn\n"))
    page.get_by_label("Name of the event").fill("test")
    expect(page.locator("[data-field=event] .error")).to_have_text("'test' is the name of no event.")
    page.get_by_label("Colours").fill("red, blue")
    page.get_by_role("button", name="Import now").click()
    expect(page.locator("[data-field=colours] .error")).to_contain_text("This is not JSON")
    page.get_by_label("Colours").fill('["red", "blue"]')
    page.get_by_label("Copies").fill("9")
    page.get_by_role("button", name="Import now").click()
    expect(page.locator("[data-field=copies] .error")).to_contain_text("5")
    assert_accessible(page)
    page.get_by_label("Copies").fill("2")
    page.get_by_label("Name of the event").fill("Fair")
    page.get_by_role("button", name="Import now").click()
    params = server.job(created(page, server, "succeeded"))["params"]
    assert (params["event"], params["copies"], params["colours"]) == ("Fair", 2, ["red", "blue"])


def test_what_the_form_has_found_stays_when_a_preview_comes_after_it(watched: Watched) -> None:
    watched.allow("400")
    page = watched.page
    page.goto("/ui/new?kind=badges")
    page.locator("#file").set_input_files(file(b"name\nAnn\n"))
    page.get_by_label("Name of the event").fill("test")
    expect(page.locator("[data-field=event] .error")).to_have_text("'test' is the name of no event.")
    held: list[Route] = []
    page.route("**/previews?*", lambda route: held.append(route))  # noqa: PLW0108 (Playwright looks into what it calls)
    wrong = page.locator("[data-field=colours] .error")
    page.get_by_label("Colours").fill("red, blue")
    page.get_by_role("button", name="Import now").click()
    expect(wrong).to_contain_text("This is not JSON")
    poll(lambda: page.evaluate("true") and bool(held), TIMEOUT, "the preview to be asked for")
    held.pop().continue_()
    page.unroute("**/previews?*")
    expect(page.locator("#preview")).to_have_attribute("aria-busy", "false")
    expect(page.locator("[data-field=event] .error")).to_be_visible()
    expect(wrong).to_contain_text("This is not JSON")
    page.get_by_label("Colours").fill('["red"]')
    expect(wrong).to_be_hidden()


def test_a_kind_without_a_file_is_refused_beside_the_field_by_the_service_itself(watched: Watched) -> None:
    watched.allow("400")
    page = watched.page
    page.goto("/ui/new?kind=report&first=2026-01-31")
    page.get_by_label("Depth").select_option("2")
    page.get_by_label("Limits").fill('{"a": "many"}')
    page.get_by_role("button", name="Start now").click()
    expect(page.locator("[data-field=limits] .error")).to_contain_text("'many' must be a whole number")
    expect(page.get_by_label("Limits")).to_be_focused()
    expect(page.get_by_label("First")).to_have_value("2026-01-31")


def test_an_export_is_made_by_its_form(watched: Watched, server: Server, tmp_path: Path) -> None:
    watched.allow("400")
    page = watched.page
    day = tmp_path / "day.csv"
    day.write_bytes(b"date,name\n1999-03-07,Ann\n")
    server.wait_for(server.upload(day), "succeeded")
    page.goto("/ui/new?kind=createExport")
    page.get_by_label("From").fill("1999-03-07")
    page.get_by_label("To").fill("1999-03-06")
    page.get_by_role("button", name="Start now").click()
    expect(page.locator("#e-form")).to_contain_text("From must not be after to")
    assert_accessible(page)
    page.get_by_label("To").fill("1999-03-07")
    page.get_by_label("For spreadsheet").check()
    page.get_by_role("button", name="Start now").click()
    result = server.get_bytes(f"/jobs/{created(page, server, 'succeeded')}/result").decode()
    assert result.startswith("\N{BYTE ORDER MARK}_job_id,_row,_date,date,name")
    assert "1999-03-07,Ann" in result


def test_html_and_right_to_left_text_show_as_text_and_many_columns_break_nothing(page: Page) -> None:
    header = ",".join([f"<b>{number}</b>" for number in range(300)])
    cells = ["", '<img src=x onerror="alert(1)">', "שלום (1) עולם", "x" * 5000, "two\nlines"]
    out = io.StringIO()
    csv.writer(out).writerow(cells * 60)
    choose(page, f"{header}\n{out.getvalue()}".encode(), ODD_NAME)
    expect(page.locator("#picked-name")).to_have_text(ODD_NAME)
    head, row = sample(page)
    assert (len(head), head[2]) == (302, "<b>0</b>")
    assert row[3:5] == cells[1:3]
    assert page.locator("main img, main b").count() == 0
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_inaccessible(open_page: Callable[..., Watched], scheme: str) -> None:
    page = open_page(color_scheme=scheme, viewport={"width": 390, "height": 800}).page
    page.goto("/ui/new")
    assert_accessible(page)
    choose(page, more="&date_column=arrives")
    page.get_by_text("Advanced").click()
    page.get_by_text("as they were sent").click()
    assert_accessible(page)


def test_the_keyboard_reaches_the_file_and_the_buttons(page: Page) -> None:
    # The browser is told in good time that the test answers it: told beside the key, it may open its own dialog.
    page.on("filechooser", lambda _: None)
    page.goto("/ui/new?kind=baselineCSV")
    page.locator(".kind[aria-current]").focus()
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.locator("#file").evaluate("input => input === document.activeElement"):
            break
    expect(page.locator("#file")).to_be_focused()
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Space")
    chooser.value.set_files(file(GUESTS))
    expect(page.locator("#unpick")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#file")).to_be_focused()


def test_without_script_a_file_is_uploaded(open_page: Callable[..., Watched], server: Server) -> None:
    page = open_page(java_script_enabled=False).page
    page.goto("/ui/new?kind=baselineCSV")
    expect(page.get_by_text("The preview needs JavaScript.")).to_be_visible()
    page.locator("#file").set_input_files(file(b"day,name\n2026-01-31,Ann\n", "plain.csv"))
    page.get_by_role("button", name="Import now").click()
    page.wait_for_url(re.compile("said=job.create"))
    job = next(job for job in server.get("/jobs")["jobs"] if job["filename"] == "plain.csv")
    server.wait_for(job["id"], "succeeded")
    assert server.count_records(job["id"]) == 1
