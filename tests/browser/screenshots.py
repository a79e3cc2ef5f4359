"""Takes the pictures of docs/dashboard.md: `make screenshots`. Look at them before you commit them."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, Page

from tests.support.chromium import Watched, chromium
from tests.support.flights import data_dir, unpack_flights
from tests.support.processes import ROOT
from tests.support.server import Server

PICTURES = ROOT / "docs" / "screenshots"
DATE_COLUMN = "time_hour"

TIMES = 6
"""A file of so many times the flights is still being imported while the pictures are taken."""

GUESTS = (
    "date;guest;table;seats\n"
    "2026-05-01;Müller & Söhne;12;4\n"
    "2026-05-01;أحمد;3;2\n"
    "01.05.2026;Bob;7;1\n"
    '2026-05-02;"O\'Neil; Rose";4;2\n'
    "2026-05-02;Cid;5\n"
    "2026-05-03;Dee;9;3\n"
    "03.05.2026;Eve;2;2\n"
)


def long_file(directory: Path, flights: Path) -> Path:
    """The flights, again and again under one header."""
    path = directory / "flights-2013-to-2018.csv"
    header, _, rows = flights.read_bytes().partition(b"\n")
    with path.open("wb") as file:
        file.write(header + b"\n")
        for _ in range(TIMES):
            file.write(rows)
    return path


def fill(server: Server, directory: Path) -> dict[str, str]:
    """Jobs as people have them; returns the ids of those that have a picture of their own."""
    flights = unpack_flights(directory)
    guests = directory / "guests.csv"
    guests.write_text(GUESTS)
    server.wait_for(server.upload(data_dir() / "airports.csv"), "succeeded")
    for name in ("planes.csv", "weather.csv"):
        server.wait_for(server.upload(_unpacked(directory, name)), "succeeded")
    failed = server.upload(guests, date_column="date", max_failed="1")
    server.wait_for(failed, "failed")
    paused = server.upload(flights, date_column=DATE_COLUMN)
    server.wait_done(paused, 50_000)
    server.post(f"/jobs/{paused}/pause")
    checked = server.upload(guests, date_column="date", dry_run="true")
    server.wait_for(checked, "succeeded")
    running = server.upload(long_file(directory, flights), date_column=DATE_COLUMN)
    server.wait_done(running, 600_000)
    return {"running": running, "failed": failed, "report": checked}


def _unpacked(directory: Path, name: str) -> Path:
    packed = data_dir() / f"{name}.zip"
    if packed.exists():
        shutil.unpack_archive(packed, directory)
        return directory / name
    return data_dir() / name


def take(browser: Browser, server: Server, directory: Path) -> None:
    jobs = fill(server, directory)
    wide = {"viewport": {"width": 1200, "height": 760}}
    dark = {"viewport": {"width": 1200, "height": 760}, "color_scheme": "dark"}
    phone = {"viewport": {"width": 390, "height": 800}, "device_scale_factor": 1}
    running = f"/ui/jobs/{jobs['running']}"
    picture(browser, server, running, "running", wide)
    picture(browser, server, running, "running-dark", dark)
    watched = Watched(browser, server.url, **wide)
    watched.page.goto(running)
    watched.page.get_by_text("Terminate…").click()
    watched.page.get_by_role("dialog").wait_for()
    save(watched.page, "terminate")
    watched.close()
    picture(browser, server, "/", "list", wide)
    picture(browser, server, "/", "phone", phone)
    picture(browser, server, f"/ui/jobs/{jobs['failed']}", "failed", wide)
    picture(browser, server, f"/ui/jobs/{jobs['report']}", "report", wide)
    take_previews(browser, server, directory)


def take_previews(browser: Browser, server: Server, directory: Path) -> None:
    """Of a file that would be read wrongly, as it is chosen and with the right options."""
    file = bookings(directory)
    right = "&encoding=cp1252&date_column=arrives&date_format=%25d/%25m/%25Y"
    large, phone = {"width": 1200, "height": 1000}, {"width": 390, "height": 1000}
    picture_of_preview(browser, server, file, "preview", "", {"viewport": {"width": 1200, "height": 1200}})
    picture_of_preview(browser, server, file, "preview-dark", right, {"viewport": large, "color_scheme": "dark"})
    picture_of_preview(browser, server, file, "preview-phone", "", {"viewport": phone})


def bookings(directory: Path) -> Path:
    """A file as a spreadsheet writes it: semicolons, another encoding, dates with the day first."""
    guests = ("Ann Berg", "José Costa", "Cleo Ito", "Zoé Lund", "Dan Fischer", "Päivi Grün", "Inês Diaz")
    notes = ("", "", "late arrival", "", '"asks for ""the quiet side"""', "<b>VIP</b>", "2 children; a cot")
    lines = ["guest;arrives;nights;room;notes"]
    for number in range(61_000):
        note = notes[number * 5 % 11 % 7]
        day, month = number * 7 % 28 + 1, number * 3 % 12 + 1
        room = ("Lake", "Garden", "Tower")[number % 3]
        quoted = f'"{note}"' if ";" in note else note
        lines.append(f"{guests[number % 7]};{day:02}/{month:02}/2026;{number % 9 + 1};{room};{quoted}")
    lines[77] = "Eve Stone;31/02/2026;3;Lake;"
    lines[412] = "Bob Moreau;12/05/2026;2"
    path = directory / "bookings-2026.csv"
    path.write_bytes("\r\n".join(lines).encode("cp1252"))
    return path


def picture_of_preview(
    browser: Browser, server: Server, file: Path, name: str, options: str, context: dict[str, object]
) -> None:
    watched = Watched(browser, server.url, **context)
    page = watched.page
    page.goto(f"/ui/new?kind=baselineCSV{options}")
    page.locator("#file").set_input_files(file)
    page.locator("#preview[aria-busy=false] .sample").wait_for()
    page.locator("#unpick").evaluate("button => button.blur()")
    save(page, name)
    watched.close()


def picture(browser: Browser, server: Server, path: str, name: str, context: dict[str, object]) -> None:
    watched = Watched(browser, server.url, **context)
    watched.page.goto(path, wait_until="networkidle")
    save(watched.page, name)
    watched.close()


def save(page: Page, name: str) -> None:
    page.evaluate("document.fonts.ready")
    page.screenshot(path=PICTURES / f"{name}.png", animations="disabled")


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    with TemporaryDirectory() as made:
        directory = Path(made)
        server = Server(directory / "data", JOBSVC_MAX_RUNNING="4")
        try:
            with chromium() as browser:
                take(browser, server.start(), directory)
        finally:
            server.kill()


if __name__ == "__main__":
    main()
