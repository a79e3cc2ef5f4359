"""What people's HTTP clients send: an upload, an error, and the next request on the same connection after the error."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
import requests

from tests.support.server import Server

CSV = "date;name\r\n2026-01-02;é\r\n"

TIMES = 5
"""How often a refused upload and a good one follow each other on one connection."""

Answers = list[tuple[int, dict[str, Any]]]
"""Status and JSON of a refused upload and of a good one, by turns."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("clients") / "data").start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "naïve, 1.csv"
    path.write_text(CSV, encoding="utf-8", newline="")
    return path


def by_requests(url: str, file: Path) -> Answers:
    found: Answers = []
    with requests.Session() as session:
        for _ in range(TIMES):
            with file.open("rb") as opened:
                answer = session.post(f"{url}/uploadCSV", files={"wrong": opened})
                found.append((answer.status_code, answer.json()))
            with file.open("rb") as opened:
                answer = session.post(f"{url}/uploadCSV", files={"file": opened}, data={"date_column": "date"})
                found.append((answer.status_code, answer.json()))
    return found


def by_requests_with_a_generator(url: str, file: Path) -> Answers:
    """A body without Content-Length: Transfer-Encoding: chunked."""
    found: Answers = []
    with requests.Session() as session:
        for _ in range(TIMES):
            for query in ("?nope=1", "?date_column=date"):
                pieces = (piece for piece in (file.read_bytes()[:9], file.read_bytes()[9:]))
                answer = session.post(f"{url}/uploadCSV{query}", data=pieces)
                found.append((answer.status_code, answer.json()))
    return found


def by_httpx(url: str, file: Path) -> Answers:
    found: Answers = []
    with httpx.Client() as client:
        for _ in range(TIMES):
            for field in ("wrong", "file"):
                with file.open("rb") as opened:
                    answer = client.post(f"{url}/uploadCSV", files={field: opened}, data={"date_column": "date"})
                found.append((answer.status_code, answer.json()))
    return found


def by_aiohttp(url: str, file: Path) -> Answers:
    async def ask() -> Answers:
        found: Answers = []
        async with aiohttp.ClientSession() as session:
            for _ in range(TIMES):
                for field in ("wrong", "file"):
                    form = aiohttp.FormData({"date_column": "date"}, quote_fields=False)
                    form.add_field(field, file.read_bytes(), filename=file.name, content_type="text/csv")
                    async with session.post(f"{url}/uploadCSV", data=form) as answer:
                        found.append((answer.status, await answer.json()))
        return found

    return asyncio.run(ask())


NODE = """
const [url, path, times] = process.argv.slice(1);
const content = require('fs').readFileSync(path);
(async () => {
  const found = [];
  for (let at = 0; at < Number(times); at++) {
    for (const field of ['wrong', 'file']) {
      const form = new FormData();
      form.append('date_column', 'date');
      form.append(field, new Blob([content], {type: 'text/csv'}), 'naïve, 1.csv');
      const answer = await fetch(url + '/uploadCSV', {method: 'POST', body: form});
      found.push([answer.status, await answer.json()]);
    }
  }
  console.log(JSON.stringify(found));
})();
"""


def by_node(url: str, file: Path) -> Answers:
    done = subprocess.run(["node", "-e", NODE, url, str(file), str(TIMES)], capture_output=True, check=True, timeout=60)
    return [(status, answer) for status, answer in json.loads(done.stdout)]


def _curl(url: str, *each: list[str]) -> Answers:
    """All on one connection, as curl has it for several URLs."""
    arguments: list[str] = []
    for options in list(each) * TIMES:
        arguments += ["--next", "-sS", "-w", "\n%{http_code}\n", *options]
    done = subprocess.run(["curl", *arguments[1:]], capture_output=True, check=True, timeout=60)
    lines = [line for line in done.stdout.decode().splitlines() if line]
    return [(int(status), json.loads(answer)) for answer, status in zip(lines[::2], lines[1::2], strict=True)]


def by_curl_f(url: str, file: Path) -> Answers:
    return _curl(
        url,
        ["-F", f'wrong=@"{file}"', f"{url}/uploadCSV"],
        ["-F", f'file=@"{file}"', "-F", "date_column=date", f"{url}/uploadCSV"],
    )


def by_curl_t(url: str, file: Path) -> Answers:
    return _curl(
        url, ["-T", str(file), f"{url}/uploadCSV?nope=1"], ["-T", str(file), f"{url}/uploadCSV?date_column=date"]
    )


def by_curl_data(url: str, file: Path) -> Answers:
    data = ["--data-binary", f"@{file}"]
    return _curl(url, [*data, f"{url}/uploadCSV?nope=1"], [*data, f"{url}/uploadCSV?date_column=date"])


NAMED = [by_requests, by_httpx, by_aiohttp, by_node, by_curl_f]
UNNAMED = [by_requests_with_a_generator, by_curl_t, by_curl_data]


@pytest.mark.parametrize("ask", [*NAMED, *UNNAMED], ids=lambda ask: ask.__name__)
def test_an_error_is_told_and_the_next_upload_goes_well(
    server: Server, file: Path, ask: Callable[[str, Path], Answers]
) -> None:
    needed = {by_node: "node", by_curl_f: "curl", by_curl_t: "curl", by_curl_data: "curl"}.get(ask)
    if needed is not None and shutil.which(needed) is None:
        pytest.skip(f"{needed} is not installed")
    answers = ask(server.url, file)
    assert len(answers) == 2 * TIMES
    for (refused, why), (taken, answer) in zip(answers[::2], answers[1::2], strict=True):
        assert refused == 400
        assert "wrong" in why["message"] or "nope" in why["errorType"]
        assert taken == 200
        job = server.wait_for(answer["Job ID"], "succeeded", "failed")
        assert job["progress"]["done"] == 1
        assert job["filename"] == (file.name if ask in NAMED else None)
        assert job["warnings"] == ["the delimiter was detected: semicolon"]
    records = server.get(f"/records?job={answers[-1][1]['Job ID']}")["records"]
    assert [record["data"] for record in records] == [{"date": "2026-01-02", "name": "é"}]
