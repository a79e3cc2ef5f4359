"""Every command of the client, with every kind of error that it can meet: the exit code is the documented one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from jobsvc.cli.client.exits import MEANINGS, Exit
from jobsvc.cli.main import CLIENT
from tests.cli.conftest import Told
from tests.support.server import free_port
from tests.support.shell import jobsvc

OK_ARGS: dict[str, tuple[str, ...]] = {
    "upload": ("FILE",),
    "preview": ("FILE",),
    "report": ("ID",),
    "apply": ("ID",),
    "export": ("2026-01-01", "2026-01-02"),
    "list": (),
    "show": ("ID",),
    "watch": ("ID",),
    "pause": ("ID",),
    "resume": ("ID",),
    "terminate": ("ID",),
    "rollback": ("ID",),
    "failed": ("ID",),
    "unprocessed": ("ID",),
    "result": ("ID",),
    "events": ("ID",),
    "log": ("ID",),
    "kinds": (),
    "workers": (),
    "audit": (),
}
"""How each command is called rightly."""


DOWNLOADS = {"failed", "unprocessed", "result"}
"""What these get may be anything."""


@pytest.fixture
def filled(tmp_path: Path, make_job: Callable[..., str]) -> Callable[[tuple[str, ...]], list[str]]:
    """Puts a file, a job that has succeeded, and a directory in the places of their names."""
    file = tmp_path / "x.csv"
    file.write_text("date,n\n2026-01-01,1\n")
    (tmp_path / "empty.csv").touch()
    (tmp_path / "zip.csv").write_bytes(b"PK\x03\x04" + b"\x00" * 30)

    def fill(args: tuple[str, ...]) -> list[str]:
        job_id = make_job(1) if "ID" in args else ""
        places = {"FILE": str(file), "EMPTY": str(tmp_path / "empty.csv"), "ZIP": str(tmp_path / "zip.csv")}
        return [{**places, "ID": job_id, "DIR": str(tmp_path)}.get(arg, arg) for arg in args]

    return fill


def test_the_table_has_every_command() -> None:
    assert set(CLIENT) - set(OK_ARGS) == set()


@pytest.mark.parametrize("command", CLIENT)
def test_no_service_is_unreachable(command: str, filled: Callable[[tuple[str, ...]], list[str]]) -> None:
    found = jobsvc(f"http://127.0.0.1:{free_port()}", command, *filled(OK_ARGS[command]))
    assert (found.exit, found.out) == (Exit.UNREACHABLE, ""), found.err
    assert "Is the service running" in found.err


@pytest.mark.parametrize("command", CLIENT)
def test_another_program_is_no_service(
    told: Told, command: str, filled: Callable[[tuple[str, ...]], list[str]]
) -> None:
    args = filled(OK_ARGS[command])
    for content_type, body in (("text/html", b"<html>"), ("application/json", b'{"hello": "world"}')):
        if content_type == "application/json" and command in DOWNLOADS:
            continue
        told.content_type, told.body = content_type, body
        found = jobsvc(told.url, command, *args)
        assert (found.exit, found.out) == (Exit.UNREACHABLE, ""), found.err
        assert "does not answer as jobsvc does" in found.err


@pytest.mark.parametrize("command", CLIENT)
def test_a_service_that_lets_nobody_in_refuses(
    told: Told, command: str, filled: Callable[[tuple[str, ...]], list[str]]
) -> None:
    told.status, told.body = 403, b'{"title": "Forbidden", "detail": "no"}'
    assert jobsvc(told.url, command, *filled(OK_ARGS[command])).exit == Exit.REFUSED


@pytest.mark.parametrize("command", CLIENT)
def test_an_option_that_there_is_not_is_a_wrong_command_line(url: str, command: str) -> None:
    assert jobsvc(url, command, "--no-such-option").exit == Exit.USAGE
    assert jobsvc("nonsense", command, *OK_ARGS[command]).exit == Exit.USAGE


WITH_ID = [name for name in CLIENT if OK_ARGS[name] == ("ID",)]


@pytest.mark.parametrize("command", WITH_ID)
def test_a_job_that_there_is_not_is_not_found(url: str, command: str) -> None:
    found = jobsvc(url, command, "nope")
    assert (found.exit, found.out, found.err) == (Exit.NOT_FOUND, "", "Error: there is no job 'nope'\n")
    assert jobsvc(url, command).exit == Exit.USAGE


@pytest.mark.parametrize(
    ("args", "exit"),
    [
        (("upload", "FILE"), Exit.OK),
        (("upload", "EMPTY"), Exit.REFUSED),
        (("upload", "EMPTY", "--kind", "bulkTeam"), Exit.REFUSED),
        (("upload", "ZIP"), Exit.REFUSED),
        (("upload", "DIR"), Exit.USAGE),
        (("upload", "no-such.csv"), Exit.USAGE),
        (("upload", "FILE", "--kind", "nope"), Exit.NOT_FOUND),
        (("upload", "FILE", "--kind", "createExport"), Exit.USAGE),
        (("upload", "FILE", "-p", "colour=blue"), Exit.USAGE),
        (("upload", "FILE", "-p", "max_failed=x", "--kind", "baselineCSV"), Exit.USAGE),
        (("upload", "FILE", "-p", "date_column=nope"), Exit.USAGE),
        (("upload", "FILE", "-p", "date_column=n", "--watch"), Exit.FAILED),
        (("export", "soon", "2026-01-01"), Exit.USAGE),
        (("export", "2026-01-01", "2026-02-30"), Exit.USAGE),
        (("export", "2026-01-02", "2026-01-01"), Exit.USAGE),
        (("export", "2026-01-01", "2026-01-01", "--job", "nope"), Exit.NOT_FOUND),
        (("export", "2026-01-01", "2026-01-01", "-o", "/no/such/file"), Exit.ERROR),
        (("list", "--state", "nope"), Exit.USAGE),
        (("list", "--kind", "nope"), Exit.NOT_FOUND),
        (("list", "--limit", "0"), Exit.USAGE),
        (("show", "ID"), Exit.OK),
        (("watch", "ID"), Exit.OK),
        (("report", "ID"), Exit.OK),
        (("report", "ID", "--rows", "101"), Exit.USAGE),
        (("apply", "ID"), Exit.REFUSED),
        (("events", "ID"), Exit.OK),
        (("kinds", "nope"), Exit.NOT_FOUND),
        (("failed", "ID"), Exit.OK),
        (("failed", "ID", "-o", "/no/such/file"), Exit.ERROR),
        (("unprocessed", "ID"), Exit.NOT_FOUND),
        (("result", "ID"), Exit.NOT_FOUND),
        (("pause", "ID"), Exit.REFUSED),
        (("resume", "ID"), Exit.REFUSED),
        (("terminate", "ID"), Exit.REFUSED),
        (("rollback", "ID"), Exit.OK),
        (("terminate", "ID", "--rollback"), Exit.OK),
        (("pause", "--all", "--kind", "nope", "--yes"), Exit.NOT_FOUND),
        (("pause", "--all", "--state", "nope"), Exit.USAGE),
        (("pause", "--all", "--kind", "tocks", "--user", "nobody", "--yes"), Exit.OK),
        (("resume", "--all", "--paused-by", "nope", "--yes"), Exit.NOT_FOUND),
    ],
)
def test_each_error_has_the_documented_code(
    url: str, filled: Callable[[tuple[str, ...]], list[str]], args: tuple[str, ...], exit: Exit
) -> None:
    command = filled(args)
    found = jobsvc(url, *command)
    assert found.exit == exit, found.err
    assert exit in MEANINGS
    if exit in (Exit.ERROR, Exit.NOT_FOUND, Exit.REFUSED):
        in_json = jobsvc(url, *command, "--json")
        assert (in_json.exit, in_json.error["exit"]) == (exit, exit)
