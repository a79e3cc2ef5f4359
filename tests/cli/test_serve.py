"""`serve`: the service, as `make` runs it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable

import pytest
from click.testing import CliRunner

from jobsvc.cli import serve
from jobsvc.cli.main import main
from jobsvc.cli.port import fault_of, holder_of
from tests.support.processes import ROOT, by_command
from tests.support.server import Server, free_port
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


def test_a_port_that_another_has_is_told_with_who_it_is(make_server: Callable[..., Server]) -> None:
    with by_command():
        server = make_server().start()
    done = CliRunner().invoke(main, ["serve"], env={"PORT": str(server.port), "HOST": "127.0.0.1"}, prog_name="jobsvc")
    assert done.exit_code == 1
    assert server.process is not None
    taken = f"the service can't listen on 127.0.0.1:{server.port}: process {server.process.pid} ("
    assert taken in done.stderr
    assert "gunicorn" in done.stderr
    assert "set another port, as in PORT=9000 jobsvc serve" in done.stderr


@pytest.mark.parametrize(
    ("host", "said"), [("192.0.2.1", "it is no address of this machine"), ("no.such.invalid", "no host of this name")]
)
def test_a_host_that_is_none_of_this_machine_is_told(host: str, said: str) -> None:
    done = CliRunner().invoke(main, ["serve"], env={"HOST": host}, prog_name="jobsvc")
    assert (done.exit_code, said in done.stderr) == (1, True), done.stderr


def test_a_free_port_has_no_fault_and_no_holder() -> None:
    for host in ("127.0.0.1", "::1", "[::1]", "localhost"):
        assert fault_of(host, free_port()) is None
    assert holder_of(free_port()) is None


def test_who_has_the_port_is_not_asked_if_gunicorn_is_to_listen_elsewhere(
    service: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    run: list[str] = []
    monkeypatch.setattr("os.execv", lambda _, command: run.append(command[-1]))
    for args, environ in ((["--bind=127.0.0.1:0"], ""), ([], "-b 127.0.0.1:0")):
        environment = {"PORT": str(service.port), "HOST": "127.0.0.1", "GUNICORN_CMD_ARGS": environ}
        done = CliRunner().invoke(main, ["serve", *args], env=environment, prog_name="jobsvc")
        assert done.exit_code == 0, done.output
    assert len(run) == 2
