"""Takes the pictures of docs/dashboard.md: `make screenshots`. Look at them before you commit them."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, Page

from tests.support.chromium import Watched, chromium
from tests.support.flights import data_dir, unpack_flights
from tests.support.server import ROOT, Server

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
    picture(browser, server, "/", "list", wide)
    picture(browser, server, "/", "phone", phone)
    picture(browser, server, f"/ui/jobs/{jobs['failed']}", "failed", wide)
    picture(browser, server, f"/ui/jobs/{jobs['report']}", "report", wide)
    watched = Watched(browser, server.url, viewport={"width": 1200, "height": 900})
    watched.page.goto("/ui/new?kind=baselineCSV")
    watched.page.locator("input[type=file]").set_input_files(directory / "guests.csv")
    watched.page.get_by_text("as stored").wait_for()
    save(watched.page, "preview")
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
