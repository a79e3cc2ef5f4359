"""docs/writing-a-kind.md does what it says: its blocks are run as they stand."""

from __future__ import annotations

import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import pytest

from jobsvc.kinds.registry import ENTRY_POINTS
from tests.support.processes import ROOT
from tests.support.server import Server

PAGE = (ROOT / "docs" / "writing-a-kind.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for found, text in BLOCKS if found == language]


class Api:
    """An HTTP API that knows idempotency keys, and answers 503 to every third call.

    `_lock` guards everything.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self.calls: Counter[str] = Counter()
        self.invited: dict[str, Any] = {}
        self.troubles = 0
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(api.answer(self.headers["Idempotency-Key"], body))
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/invitations"
        Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, key: str, body: Any) -> int:
        with self._lock:
            self.calls[key] += 1
            if self.calls.total() % 3 == 0:
                self.troubles += 1
                return 503
            if body["email"].startswith("gone@"):
                return 410
            self.invited[key] = body
            return 201


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the page's Python files in it."""
    directory = tmp_path_factory.mktemp("code")
    for text in blocks("python"):
        name = text.split("\n", 1)[0].removeprefix("# ")
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(text)
    (directory / "mypkg" / "__init__.py").touch()
    (directory / "people.csv").write_text("name\nAnn\nBob\n")
    people = "".join(f"p{n}@example.org\n" for n in range(40))
    (directory / "invitees.csv").write_text(f"email\n{people}nobody\ngone@example.org\n")
    return directory


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    api = Api()
    yield api
    api.server.shutdown()
    api.server.server_close()


@pytest.fixture(scope="module")
def service(package: Path, api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The service, with the setting that the page shows."""
    setting = shlex.split(next(text for text in blocks("sh") if "JOBSVC_KINDS" in text))[0]
    server = Server(
        tmp_path_factory.mktemp("service") / "data",
        PYTHONPATH=str(package),
        INVITE_API=api.url,
        JOBSVC_KINDS=setting.removeprefix("JOBSVC_KINDS="),
    )
    yield server.start()
    server.kill()


@pytest.fixture
def make_job(service: Server, package: Path) -> Callable[[str], Any]:
    """Runs the page's curl command for a kind; returns the job when it has ended."""

    def make(kind: str) -> Any:
        command = next(text for text in blocks("sh") if f"/kinds/{kind}/jobs" in text)
        command = command.replace("http://127.0.0.1:8081", service.url)
        answer = subprocess.run(command, shell=True, cwd=package, check=True, capture_output=True, text=True).stdout
        return service.wait_for(json.loads(answer)["id"], "succeeded", "failed", seconds=30)

    return make


def rows(service: Server, query: str) -> list[Any]:
    connection = sqlite3.connect(service.data_dir / "jobsvc.db")
    try:
        return [row[0] for row in connection.execute(query)]
    finally:
        connection.close()


def test_the_kind_of_ten_lines_greets(make_job: Callable[[str], Any], service: Server):
    job = make_job("greet")
    assert (job["state"], job["progress"]["done"]) == ("succeeded", 2), job["error"]
    assert rows(service, "SELECT text FROM greetings ORDER BY id") == ["Hello Ann!", "Hello Bob!"]


def test_everybody_is_invited_though_the_api_fails_now_and_then(
    make_job: Callable[[str], Any], service: Server, api: Api
):
    job = make_job("invite")
    assert (job["state"], job["progress"]["done"], job["progress"]["failed"]) == ("succeeded", 40, 2), job["error"]
    assert api.troubles > 10
    assert api.invited == {f"{job['id']}:{n + 1}": {"email": f"p{n}@example.org", "team": "Blue"} for n in range(40)}
    refused = service.get_bytes(f"/jobs/{job['id']}/failed").decode()
    assert refused == (
        "_line,_error,email\n42,'nobody' is no address,nobody\n43,the API answers 410,gone@example.org\n"
    )


def test_a_source_of_its_own_needs_no_upload(make_job: Callable[[str], Any], service: Server):
    job = make_job("dates")
    assert job["state"] == "succeeded", job["error"]
    days = rows(service, f"SELECT day FROM days WHERE job = '{job['id']}' ORDER BY day")
    assert days == ["2026-02-27", "2026-02-28", "2026-03-01", "2026-03-02"]


def test_a_file_that_a_kind_makes_is_the_job_s_result(make_job: Callable[[str], Any], service: Server):
    job = make_job("squares")
    assert (job["state"], job["progress"]["done"]) == ("succeeded", 250), job["error"]
    found = service.get_bytes(f"/jobs/{job['id']}/result").decode()
    assert found == "number,square\n" + "".join(f"{n},{n * n}\n" for n in range(1, 251))


def test_parameters_are_checked_before_there_is_a_job(service: Server):
    status, problem = service.post("/kinds/dates/jobs", {"first": "2026-02-27", "count": 0})
    assert status == 400
    assert "count" in json.dumps(problem)


def test_the_kinds_are_listed_with_the_schema_of_their_parameters(service: Server):
    kinds = {kind["name"]: kind for kind in service.get("/kinds")["kinds"]}
    assert kinds["greet"]["description"] == "Greets everybody in a CSV."
    team = kinds["invite"]["params"]["properties"]["team"]
    assert (team["type"], team["description"]) == ("string", "the team that everybody is invited to")
    assert kinds["invite"]["params"]["required"] == ["team"]
    assert set(kinds["dates"]["params"]["properties"]) == {"first", "count"}
    assert kinds["dates"]["takes_file"] is False
    assert kinds["totals"]["can_roll_back"] is True


def test_the_tests_on_the_page_pass(package: Path):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(package), "test_mypkg.py"],
        cwd=package,
        env={**os.environ, "PYTHONPATH": f"{package}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "5 passed" in done.stdout


def test_the_entry_point_is_in_the_group_that_is_looked_at():
    (text,) = blocks("toml")
    assert tomllib.loads(text)["project"]["entry-points"] == {ENTRY_POINTS: {"greet": "mypkg.greet:Greet"}}


def test_the_short_kind_is_short():
    text = next(text for text in blocks("python") if text.startswith("# mypkg/greet.py"))
    assert len([line for line in text.splitlines()[1:] if line]) <= 10
