"""Keys of a real server: made and revoked while it runs, and the way beyond this machine."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.server import Server
from tests.support.shell import client_environ
from tests.support.waiting import poll

GUNICORN = [sys.executable, "-m", "gunicorn"]

MakeServer = Callable[..., Server]


def keys(server: Server, *args: str) -> tuple[int, str, str]:
    """`python -m jobsvc keys …` beside a server; returns its exit code, and what it printed."""
    environ = client_environ(JOBSVC_DATA_DIR=str(server.data_dir), DATABASE_URL="", COLUMNS="200")
    done = processes.run("jobsvc", "keys", *args, environ=environ)
    return done.returncode, done.stdout, done.stderr


def status(server: Server, path: str, key: str | None = None) -> int:
    request = urllib.request.Request(server.url + path, headers={"Authorization": f"Bearer {key}"} if key else {})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_a_running_service_asks_for_keys_once_there_are_some(server: Server) -> None:
    assert status(server, "/jobs") == 200
    code, out, err = keys(server, "create", "ann", "--role", "viewer")
    assert (code, out.count("\n")) == (0, 1), err
    key, key_id = out.strip(), out.split("_")[1]
    assert f"the key {key_id} lets ann in as viewer" in err
    assert key not in err
    poll(lambda: status(server, "/jobs") == 401, 20, "the service to ask for a key")
    assert status(server, "/jobs", key) == 200
    assert status(server, "/healthz") == 200
    server.kill()
    server.start(wait=False)
    poll(lambda: status_or_none(server) == 200, 30, "the server to be ready")
    assert status(server, "/jobs") == 401
    assert status(server, "/jobs", key) == 200
    assert keys(server, "revoke", key_id)[0] == 0
    assert status(server, "/jobs", key) == 401
    code, out, err = keys(server, "list")
    assert (code, err) == (0, "")
    assert [line.split()[:3] for line in out.splitlines()] == [["KEY", "USER", "ROLE"], [key_id, "ann", "viewer"]]
    assert "revoked" in out
    assert key not in out
    assert key not in server.log.read_text()


def status_or_none(server: Server) -> int | None:
    try:
        return status(server, "/readyz")
    except OSError:
        return None


def test_when_a_key_was_used_is_told_after_the_service_has_ended(server: Server) -> None:
    key = keys(server, "create", "ann", "--role", "viewer")[1].strip()
    assert "never" in keys(server, "list")[1]
    assert status(server, "/jobs", key) == 200
    assert server.stop() == 0
    assert "never" not in keys(server, "list")[1]


@pytest.mark.parametrize("stored", [True, False], ids=["made", "set"])
def test_with_keys_it_may_listen_beyond_this_machine(stored: bool, server: Server, make_server: MakeServer) -> None:
    if stored:
        assert keys(server, "create", "ann", "--role", "viewer")[0] == 0
    server.stop()
    more = {} if stored else {"JOBSVC_API_KEYS": f"ann:{'k' * 20}"}
    public = make_server([*GUNICORN, "-b", "0.0.0.0:{port}"], data_dir=server.data_dir, **more)
    public.start(wait=False)
    poll(lambda: status_or_none(public) == 200, 30, "the server to be ready")
    assert status(public, "/jobs") == 401


def test_a_key_that_was_made_in_another_directory_opens_nothing(server: Server, tmp_path: Path) -> None:
    code, _, err = keys(Server(tmp_path / "elsewhere"), "create", "ann", "--role", "viewer")
    assert code == 1
    assert "there is no database at" in err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["create", "ann"], "--role"),
        (["create", "a/b", "--role", "user"], "'a/b' can't be a user's name: it must be 1 to 64"),
        (["create", "ann", "--role", "king"], "'viewer', 'user', 'operator', 'admin'"),
        (["create", "ann", "--role", "user", "--kind", "none"], "there is no kind 'none'; there are baselineCSV"),
        (["create", "ann", "--role", "user", "--expires", "soon"], "'soon' must be a day, YYYY-MM-DD"),
        (["create", "ann", "--role", "user", "--expires", "2001-01-01"], "2001-01-01T23:59:59Z is over already"),
    ],
)
def test_a_key_that_cannot_be_meant_is_refused_by_name(server: Server, args: list[str], said: str) -> None:
    code, out, err = keys(server, *args)
    assert (code, out) == (2, "")
    assert said in err
    assert "there are no keys" in keys(server, "list")[1]
