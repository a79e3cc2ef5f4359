"""The log of real processes: one form for all lines, one line for each request, and no secret in any."""

from __future__ import annotations

import json
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import Server, free_port
from tests.support.waiting import poll

MakeServer = Callable[..., Server]

TALKATIVE = "tests.support.talkative:Talkative"

SECRETS = {
    "cell": "cell-4711-0815",
    "bearer": "bearer-4711-0815",
    "unknown": "unknown-4711-0815",
    "idempotency": "idempotency-4711-0815",
    "callback": "callback-4711-0815",
    "aws": "aws-4711-0815",
    "query": "query-4711-0815",
    "password": "password-4711-0815",
}


def lines(server: Server) -> list[dict[str, Any]]:
    """Every line, each of which must be a JSON object."""
    return [json.loads(line) for line in server.log.read_text().splitlines()]


def ask(server: Server, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(server.url + path, body, named)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def requests_of(server: Server, path: str) -> list[dict[str, Any]]:
    return [line for line in lines(server) if line["logger"] == "jobsvc.web.request_log" and line["path"] == path]


def test_every_line_is_json_and_tells_of_the_start_of_requests_of_runs_and_of_the_end(make_server: MakeServer) -> None:
    server = make_server(laid_out=False, JOBSVC_KINDS=TALKATIVE).start()
    status, job = ask(server, "/kinds/talkative/jobs", b"do,cell\nsay,1\n", X_Request_ID="front-1")
    assert status == 201
    server.wait_for(job["id"], "succeeded")
    assert ask(server, "/nothing%07%0A?x=1")[0] == 404
    assert server.stop() == 0
    found = lines(server)
    (start,) = [line for line in found if line["message"].startswith("web ready")]
    assert start["listens"] == server.url
    assert start["database"] == f"sqlite:///{server.data_dir / 'jobsvc.db'}"
    assert (start["engine"], start["jobs_going_on"], start["version"]) == ("threads", 0, "0.1.0")
    assert len(requests_of(server, "/kinds/talkative/jobs")) == 1
    assert len(requests_of(server, "/nothing\x07\n")) == 1
    runs = [line for line in found if line["logger"] == "jobsvc.runs.runner"]
    assert [line["message"] for line in runs] == ["the run begins: 0 items done so far", "the run ends: succeeded"]
    about = {"job": job["id"], "attempt": 1, "user": "Jon-Doe", "request_id": "front-1"}
    assert all({name: line.get(name) for name in about} == about for line in runs)
    assert {"alembic.runtime.migration", "gunicorn.error", "jobsvc.process.shutdown"} <= {
        line["logger"] for line in found
    }


def test_a_start_says_how_many_jobs_go_on(make_server: MakeServer) -> None:
    server = make_server(JOBSVC_KINDS="tests.support.ticks:Ticks").start()
    jobs = [ask(server, "/kinds/ticks/jobs", b'{"count": 100000}')[1]["id"] for _ in range(3)]
    server.wait_for(jobs[2], "running")
    ask(server, f"/jobs/{jobs[0]}/pause", b"")
    server.kill()
    server.start()
    started = [line for line in lines(server) if line["message"].startswith("web ready")]
    assert [(line["jobs_going_on"], line["jobs_paused"]) for line in started] == [(0, 0), (2, 1)]


def test_no_secret_is_in_the_log_whoever_prints_it(make_server: MakeServer, tmp_path: Path) -> None:
    server = make_server(
        JOBSVC_KINDS=TALKATIVE,
        JOBSVC_API_KEYS=f"ann:{SECRETS['bearer']}",
        JOBSVC_LOG_LEVEL="debug",
        JOBSVC_WEBHOOK_ALLOW_PRIVATE="1",
        AWS_SECRET_ACCESS_KEY=SECRETS["aws"],
    ).start()
    known = {"Authorization": f"Bearer {SECRETS['bearer']}"}
    key = {"Idempotency_Key": SECRETS["idempotency"], **known}
    # Some library prints what it has found in the settings.
    leaked = tmp_path / "leaked"
    leaked.write_text(f"{SECRETS['aws']} of {SECRETS['bearer']}")
    rows = (
        f"do,cell\nsay,{SECRETS['cell']}\nleak,{leaked}\nrefuse,{SECRETS['cell']}\nbreak,{SECRETS['cell']}\n".encode()
    )
    callback = f"http://127.0.0.1:{free_port()}/{SECRETS['callback']}"
    made = "/kinds/talkative/jobs"
    status, job = ask(server, f"{made}?callback_url={callback}", rows, **key)
    assert status == 201, job

    def of_job() -> Any:
        return ask(server, f"/jobs/{job['id']}", **known)[1]

    poll(lambda: of_job()["state"] == "failed", 30, "the job to fail")
    assert ask(server, made, rows + b"say,1\n", **key)[0] == 422
    with_password = f"http://ann:{SECRETS['password']}@127.0.0.1/"
    assert ask(server, f"{made}?callback_url={with_password}", rows, **known)[0] == 400
    assert ask(server, f"/jobs?{SECRETS['query']}={SECRETS['query']}", **known)[0] == 400
    assert ask(server, "/jobs", Authorization=f"Bearer {SECRETS['unknown']}")[0] == 401
    assert SECRETS["cell"] in json.dumps(of_job()), "its owner sees it"
    poll(lambda: "a webhook was not delivered" in server.log.read_text(), 20, "the webhook to be tried")
    assert server.stop() == 0
    said = server.log.read_text()
    assert "ValueError" in said
    assert "it is … of …" in said or "it is \\u2026 of \\u2026" in said
    assert {name for name, secret in SECRETS.items() if secret in said} == set()


def test_the_password_of_a_database_that_does_not_answer_is_not_told(make_server: MakeServer) -> None:
    url = f"postgresql://ann:{SECRETS['password']}@127.0.0.1:{free_port()}/jobsvc"
    server = make_server(DATABASE_URL=url).start(wait=False)
    assert server.process is not None
    assert server.process.wait(30) != 0
    said = server.log.read_text()
    assert "127.0.0.1" in said
    assert SECRETS["password"] not in said


def test_flask_run_logs_in_the_same_form_and_nothing_twice(make_server: MakeServer) -> None:
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "run", "--port", "{port}"]
    server = make_server(command).start()
    ask(server, "/jobs", X_Request_ID="front-2")
    server.stop(signal.SIGINT)
    told = [line for line in server.log.read_text().splitlines() if not line.startswith(" * ")]
    found = [json.loads(line) for line in told]
    assert [line["request_id"] for line in found if line.get("path") == "/jobs"] == ["front-2"]
    assert not [line for line in found if "GET /jobs" in line["message"] and line["logger"] == "werkzeug"]
    assert [line["bytes"] > 0 for line in found if line.get("path") == "/jobs"] == [True]


@pytest.mark.parametrize("option", ["--access-logfile", "--error-logfile"])
def test_another_way_for_the_log_is_refused(make_server: MakeServer, option: str) -> None:
    server = make_server([sys.executable, "-m", "gunicorn", option, "/tmp/nowhere.log"]).start(wait=False)
    assert server.process is not None
    assert server.process.wait(30) != 0
    assert f"{option}: the whole log, requests among it, goes to standard error" in server.log.read_text()


def test_a_file_that_the_system_sends_is_counted(make_server: MakeServer) -> None:
    server = make_server().start()
    file = server.data_dir.parent / "rows.csv"
    file.write_text("date,n\n" + "".join(f"2026-01-01,{'x' * 90}{n}\n" for n in range(20_000)))
    job_id = server.upload(file, date_column="date")
    server.wait_for(job_id, "succeeded")
    exported = server.export("2026-01-01", "2026-01-01")
    server.wait_for(exported, "succeeded")
    size = len(server.get_bytes(f"/jobs/{exported}/result"))
    poll(lambda: len(requests_of(server, f"/jobs/{exported}/result")) == 1, 10, "its line")
    (line,) = requests_of(server, f"/jobs/{exported}/result")
    assert (line["status"], line["bytes"], "broken_off" in line) == (200, size, False)


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_the_secret_that_was_made_for_webhooks_is_in_no_line(make_server: MakeServer, log_format: str) -> None:
    server = make_server(JOBSVC_KINDS=TALKATIVE, JOBSVC_LOG_FORMAT=log_format).start()
    file = server.data_dir / "webhook-secret"
    _, job = ask(server, "/kinds/talkative/jobs", f"do,cell\nleak,{file}\n".encode())
    server.wait_for(job["id"], "succeeded")
    assert server.stop() == 0
    said = server.log.read_text()
    assert "it is whsec_" in said
    assert file.read_text().strip().removeprefix("whsec_") not in said


NAPS = 600


def test_what_a_kind_has_said_up_to_the_last_checkpoint_is_there_after_a_kill(make_server: MakeServer) -> None:
    server = make_server(JOBSVC_KINDS=TALKATIVE).start()
    rows = "do,cell\n" + "".join(f"nap,{number}\n" for number in range(NAPS))
    _, job = ask(server, "/kinds/talkative/jobs", rows.encode())
    poll(lambda: server.stored(job["id"])[1] > 0, 30, "a checkpoint", every=0.001)
    server.kill()
    state, done = server.stored(job["id"])
    assert state == "running"
    assert 0 < done < NAPS
    said = "SELECT attempt, item FROM job_log WHERE by_kind ORDER BY line"
    assert server.query(said) == [(1, item) for item in range(1, done + 1)]
    server.start()
    server.wait_for(job["id"], "succeeded")
    assert server.query(said) == [(1 if item <= done else 2, item) for item in range(1, NAPS + 1)]
    told = [text for (text,) in server.query("SELECT text FROM job_log WHERE NOT by_kind ORDER BY line")]
    assert told[0] == "attempt 1 begins at item 1"
    assert any("died" in text for text in told[1:-2]), told
    assert told[-2].startswith(f"attempt 2 begins at item {done + 1}")
    assert told[-1].startswith("succeeded")
