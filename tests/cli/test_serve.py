"""`serve`: the service, as `make` runs it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable

import pytest
from click.testing import CliRunner

from jobsvc.cli import serve
from jobsvc.cli.main import main
from tests.support.server import ROOT, Server
from tests.support.shell import jobsvc


def test_make_runs_serve() -> None:
    assert "exec $(BIN)/python -m jobsvc serve\n" in (ROOT / "Makefile").read_text()


def test_serve_is_gunicorn_itself_and_takes_its_options(make_server: Callable[..., Server]) -> None:
    command = [sys.executable, "-m", "jobsvc", "serve", "--threads", "5"]
    server = make_server(command, JOBSVC_URL="http://127.0.0.1:9", JOBSVC_API_KEY="x").start()
    assert jobsvc(server.url, "list").exit == 0
    assert server.worker_pid()
    assert server.stop(signal.SIGINT) == 0
    assert '"GET /jobs 200"' in server.log.read_text()


def test_without_its_configuration_it_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setattr(serve, "ROOT", tmp_path_factory.mktemp("wheel"))
    done = CliRunner().invoke(main, ["serve"], prog_name="jobsvc")
    assert done.exit_code == 1
    assert "gunicorn.conf.py is missing: the service runs from a clone" in done.stderr
