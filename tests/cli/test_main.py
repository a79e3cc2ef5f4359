"""All commands together: what they import, how they are listed, what completes them."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from jobsvc.cli.client.exits import MEANINGS, Exit
from jobsvc.cli.main import COMMANDS, OPERATOR, main
from tests.support.processes import ROOT
from tests.support.server import Server, free_port
from tests.support.shell import client_environ, jobsvc, start

OF_THE_SERVICE = ("flask", "werkzeug", "sqlalchemy", "alembic", "gunicorn", "pydantic", "orjson", "psycopg", "fsspec")

WITHOUT = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {OF_THE_SERVICE!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
from jobsvc.cli.main import main
main(sys.argv[1:], prog_name="jobsvc")
"""


def without_the_service(*args: str) -> subprocess.CompletedProcess[str]:
    """A command where what the service runs on is not installed."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, *args],
        cwd=ROOT,
        env=client_environ(JOBSVC_URL=f"http://127.0.0.1:{free_port()}"),
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_client_needs_nothing_that_the_service_runs_on() -> None:
    found = without_the_service("list")
    assert (found.returncode, "can't be reached" in found.stderr) == (7, True), found.stderr
    found = without_the_service("--help")
    assert (found.returncode, "upload" in found.stdout) == (0, True), found.stderr


def test_no_command_of_the_client_needs_it() -> None:
    loads = "from jobsvc.cli.main import CLIENT, main\nfor name in CLIENT:\n    assert main.get_command(None, name)\n"
    code = WITHOUT.partition("from jobsvc")[0] + loads
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=client_environ(), check=True)


def test_a_command_of_the_service_says_what_is_missing() -> None:
    found = without_the_service("purge")
    assert found.returncode == 1
    assert "which is not installed here: pip install -r requirements.txt" in found.stderr


def test_the_settings_of_a_service_do_not_matter_to_a_client() -> None:
    found = jobsvc(f"http://127.0.0.1:{free_port()}", "list", JOBSVC_MAX_RUNNING="nonsense", DATABASE_URL="?")
    assert found.exit == 7


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_and_tells_of_itself(name: str) -> None:
    found = CliRunner().invoke(main, [name, "--help"], prog_name="jobsvc")
    assert found.exit_code == 0
    if name not in OPERATOR:
        assert "JOBSVC_URL" in found.output
        assert "--json" in found.output


def test_help_lists_every_command_and_every_exit_code() -> None:
    text = CliRunner().invoke(main, ["--help"], prog_name="jobsvc").output
    assert [name for name in COMMANDS if f"  {name} " not in text] == []
    assert set(MEANINGS) == set(Exit)
    assert all(f"  {code:d} " in text for code in Exit)


def test_a_shell_completes_commands_and_options() -> None:
    names = {item.value for item in main.shell_complete(click.Context(main), "w")}
    assert names == {name for name in COMMANDS if name.startswith("w")}
    completed = CliRunner().invoke(
        main,
        prog_name="jobsvc",
        env={"_JOBSVC_COMPLETE": "bash_complete", "COMP_WORDS": "jobsvc list --st", "COMP_CWORD": "2"},
    )
    assert completed.output == "plain,--state\n"


def test_the_version_is_that_of_the_package() -> None:
    done = CliRunner().invoke(main, ["--version"], prog_name="jobsvc")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (done.exit_code, done.output) == (0, f"jobsvc {project['version']}\n")


def test_ctrl_c_ends_any_command_with_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("jobsvc.cli.purge.load_settings", interrupted)
    done = CliRunner().invoke(main, ["purge"], prog_name="jobsvc")
    assert (done.exit_code, done.stderr) == (130, "Broken off.\n")


def test_output_that_can_not_be_written_is_told(service: Server) -> None:
    with Path("/dev/full").open("w") as full:
        listing = start(service.url, "list", stdout=full)
        _, errors = listing.communicate(timeout=60)
    assert (listing.returncode, errors) == (1, "Error: the output can't be used: No space left on device\n")


def test_the_entry_point_is_the_same_as_python_m_jobsvc() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"jobsvc": "jobsvc.cli.main:main"}
    assert "from jobsvc.cli.main import main" in (ROOT / "jobsvc" / "__main__.py").read_text()
