"""`upload` and `watch`, at a real server."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobsvc.cli.client import creating
from tests.cli.conftest import Told
from tests.support.processes import ROOT
from tests.support.server import Server, free_port
from tests.support.shell import client_environ, jobsvc, start

GOOD = "date,n\n2026-01-01,1\n2026-01-02,2\n"
ONE_REFUSED = "date,n\n2026-01-01,1\nsoon,2\n"
ALL_REFUSED = "date,n\nsoon,1\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "große Datei.csv"
    path.write_text(GOOD)
    return path


@pytest.fixture
def endless(service: Server) -> Iterator[str]:
    """A job that goes on until the test has ended."""
    _, job = service.post("/kinds/ticks/jobs", {"count": 1_000_000, "seconds": 0.01})
    service.wait_for(job["id"], "running")
    yield job["id"]
    service.post(f"/jobs/{job['id']}/terminate")


def test_upload_prints_the_id_of_a_job_that_has_the_file_s_name_and_parameters(service: Server, file: Path) -> None:
    found = jobsvc(service.url, "upload", str(file), "-p", "date_column=date", "-p", "delimiter=,")
    assert found.exit == 0, found.err
    (job_id,) = found.lines
    job = service.wait_for(job_id, "succeeded")
    assert (job["kind"], job["filename"], job["params"]["date_column"]) == ("baselineCSV", file.name, "date")


def test_upload_takes_a_kind_and_prints_the_job_as_json(url: str, tmp_path: Path) -> None:
    file = tmp_path / "teams.csv"
    file.write_text(f"team,members\n{tmp_path.name},ann\n")
    assert jobsvc(url, "upload", str(file), "--kind", "bulkTeam", "--json").json["kind"] == "bulkTeam"


def test_a_file_may_come_from_standard_input(service: Server) -> None:
    found = jobsvc(service.url, "upload", "-", stdin=GOOD)
    job = service.wait_for(found.lines[0], "succeeded")
    assert (job["progress"]["done"], job["filename"]) == (2, None)


def test_a_pipe_is_sent_as_it_comes(service: Server) -> None:
    sending = start(service.url, "upload", "-", stdin=subprocess.PIPE)
    job_id, errors = sending.communicate(GOOD)
    assert sending.returncode == 0, errors
    assert service.wait_for(job_id.strip(), "succeeded")["progress"]["done"] == 2


@pytest.mark.parametrize(
    ("text", "exit", "said"),
    [
        (GOOD, 0, "succeeded: 2 rows done, 0 refused"),
        (ONE_REFUSED, 3, "The refused rows and why: jobsvc failed "),
        (ALL_REFUSED, 4, "error: the only row was refused"),
    ],
)
def test_watching_ends_with_the_job_and_the_exit_code_says_how(
    service: Server, file: Path, text: str, exit: int, said: str
) -> None:
    file.write_text(text)
    uploaded = jobsvc(service.url, "upload", str(file), "--watch")
    assert (uploaded.exit, len(uploaded.lines)) == (exit, 1)
    assert said in uploaded.err
    watched = jobsvc(service.url, "watch", uploaded.lines[0])
    assert (watched.exit, watched.out) == (exit, "")
    assert said in watched.err
    lines = jobsvc(service.url, "watch", uploaded.lines[0], "--json").lines
    assert json.loads(lines[-1]) == service.job(uploaded.lines[0])


def test_a_terminated_job_counts_as_failed(service: Server, endless: str) -> None:
    service.post(f"/jobs/{endless}/terminate")
    found = jobsvc(service.url, "watch", endless)
    assert (found.exit, "terminated: " in found.err) == (4, True)


def test_ctrl_c_ends_the_watching_and_leaves_the_job_running(service: Server, endless: str) -> None:
    watching = start(service.url, "watch", endless)
    assert watching.stderr is not None
    assert watching.stderr.readline().startswith("running: ")
    watching.send_signal(signal.SIGINT)
    _, errors = watching.communicate(timeout=30)
    assert watching.returncode == 130
    assert f"job {endless} goes on" in errors
    assert f"jobsvc pause {endless}" in errors
    assert service.job(endless)["state"] == "running"


@pytest.mark.parametrize(
    ("args", "exit", "said"),
    [
        (("-p", "colour=blue"), 2, "baselineCSV has no such parameter; it has delimiter"),
        (("-p", "encoding=utf-8", "-p", "encoding=utf-8"), 2, "encoding is given twice"),
        (("-p", "delimiter"), 2, "'delimiter' must be of the form name=value"),
        (("-p", "=x"), 2, "'=x' must be of the form name=value"),
        (("--kind", "nope"), 5, "there is no kind 'nope'; there are baselineCSV"),
    ],
)
def test_what_is_wrong_with_an_upload_is_told(
    url: str, file: Path, args: tuple[str, ...], exit: int, said: str
) -> None:
    found = jobsvc(url, "upload", str(file), *args)
    assert (found.exit, said in found.err, found.out) == (exit, True, ""), found.err


def test_a_file_that_is_not_there_is_told(url: str) -> None:
    found = jobsvc(url, "upload", "no-such.csv")
    assert (found.exit, "does not exist" in found.err) == (2, True)


def test_an_upload_to_nobody_is_told(file: Path) -> None:
    assert jobsvc(f"http://127.0.0.1:{free_port()}", "upload", str(file)).exit == 7


def test_a_file_that_becomes_shorter_while_it_is_sent_makes_no_job(
    service: Server, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(service.get("/jobs?limit=1000")["jobs"])
    monkeypatch.setattr(creating, "size_of", lambda _: 10_000)
    found = jobsvc(service.url, "upload", str(file))
    assert (found.exit, found.err) == (1, "Error: the file became shorter while it was sent: no job was made\n")
    assert len(service.get("/jobs?limit=1000")["jobs"]) == before


SENT = """
import resource, sys
from jobsvc.cli.main import main
try:
    main(["upload", sys.argv[1]], prog_name="jobsvc")
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


def test_an_upload_of_200_mb_takes_the_memory_of_a_small_one(told: Told, tmp_path: Path) -> None:
    told.body = b'{"Job ID": "x"}'

    def most_kib(size: int) -> int:
        file = tmp_path / f"{size}.csv"
        with file.open("wb") as out:
            out.truncate(size)
        done = subprocess.run(
            [sys.executable, "-c", SENT, str(file)],
            cwd=ROOT,
            env=client_environ(JOBSVC_URL=told.url),
            capture_output=True,
            text=True,
            check=True,
        )
        return int(done.stderr.splitlines()[-1])

    assert most_kib(200_000_000) < most_kib(1_000_000) + 10_000
    assert told.read_bytes == 201_000_000
