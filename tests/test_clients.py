"""docs/clients.md: the commands make a client, and its code does what it says, on a real server."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT
from tests.support.server import Server

PAGE = (ROOT / "docs" / "clients.md").read_text()
GENERATOR = Path(sys.executable).parent / "openapi-python-client"


@pytest.fixture
def generated(tmp_path: Path, server: Server) -> Path:
    """A folder with the client that the page's command makes."""
    command = next(line for line in PAGE.splitlines() if "openapi-python-client generate" in line)
    words = command.replace("http://localhost:8081", server.url).split()
    made = subprocess.run(
        [GENERATOR, *words[1:]], cwd=tmp_path, check=False, capture_output=True, text=True, timeout=120
    )
    assert made.returncode == 0, made.stdout + made.stderr
    # Not that it couldn't find ruff to make its code pretty.
    assert "WARNING" not in made.stdout, made.stdout
    return tmp_path


def test_the_generated_client_in_python_uploads_and_waits_as_the_page_shows(generated: Path, server: Server) -> None:
    code = re.search(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert code is not None
    rows = "".join(f"2013-01-{day:02d}T05:00:00Z,{day}\n" for day in range(1, 31))
    (generated / "flights.csv").write_text(f"time_hour,day\n{rows}yesterday,31\n")
    (generated / "page.py").write_text(code[1].replace("http://localhost:8081", server.url))
    done = subprocess.run(
        [sys.executable, "page.py"], cwd=generated, check=False, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.startswith("succeeded 30 rows done, 1 refused\n_line,_error,time_hour,day\n32,"), done
    assert done.returncode == 0


def test_the_version_of_the_generator_is_the_one_that_is_tested() -> None:
    pinned = re.search(r"^openapi-python-client==.+$", (ROOT / "requirements-dev.txt").read_text(), re.MULTILINE)
    assert pinned is not None
    assert pinned[0] in PAGE
