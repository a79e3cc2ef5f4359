"""What a start does not load: packages that only some services, and some starts, have a use for."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.databases import lay_out
from tests.support.processes import ROOT

START = """
import json, sys
from pathlib import Path
from jobsvc.process.app import create_app
from jobsvc.settings import Settings
app = create_app(Settings(data_dir=Path(sys.argv[1]), min_free_bytes=0), own_process=False)
assert app.test_client().get("/readyz").status_code == 200
app.extensions["jobsvc"].close()
print(json.dumps(sorted(sys.modules)))
"""


@pytest.fixture
def loaded(tmp_path: Path) -> Callable[[], set[str]]:
    """What a process that starts the service on SQLite, is asked whether it is ready, and ends, has loaded."""

    def start() -> set[str]:
        command = [sys.executable, "-c", START, str(tmp_path / "data")]
        said = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        return set(json.loads(said.splitlines()[-1]))

    return start


def test_a_start_on_sqlite_loads_nothing_of_postgresql_of_the_fleet_or_of_files_elsewhere(
    loaded: Callable[[], set[str]],
) -> None:
    assert not loaded() & {"psycopg", "psycopg_pool", "procrastinate", "fsspec", "opentelemetry"}


def test_a_start_loads_alembic_only_where_there_is_something_to_migrate(
    loaded: Callable[[], set[str]], tmp_path: Path
) -> None:
    assert "alembic" in loaded()
    assert not loaded() & {"alembic", "mako", "pygments"}


def test_a_start_makes_no_models_of_answers(loaded: Callable[[], set[str]], tmp_path: Path) -> None:
    lay_out(tmp_path / "data", "")
    assert not {name for name in loaded() if name.startswith("jobsvc.web.openapi.") and "shapes" in name}
