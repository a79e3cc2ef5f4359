"""What several processes have counted is there for each of them, also what those have counted that have ended."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobsvc.metrics import shared_files
from tests.support.mounting import may_mount
from tests.support.processes import ROOT
from tests.support.scraped import Scraped

COUNT = """
import os
from jobsvc.metrics.instruments import COMMIT_SECONDS, UPLOADED_BYTES, UPLOADS
UPLOADED_BYTES.inc({bytes})
UPLOADS.inc()
COMMIT_SECONDS.labels(kind="one").observe(0.3)
print(os.getpid(), flush=True)
"""

TELL = "from jobsvc.metrics.exposition import exposition; print(exposition().decode())"


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory of a server, whose first process is this one."""
    monkeypatch.setenv(shared_files.VARIABLE, "")
    made = shared_files.begin(tmp_path)
    assert made is not None
    yield made
    shared_files.end()


def run(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=ROOT).stdout


def counted(number: int) -> int:
    """A process that has counted, and ended; returns its id."""
    return int(run(COUNT.format(bytes=number)))


def told() -> Scraped:
    return Scraped(run(TELL))


def test_each_process_tells_what_all_have_counted(shared: Path) -> None:
    counted(3)
    counted(4)
    found = told()
    assert found.get("jobsvc_uploaded_bytes_total") == 7
    assert found.get("jobsvc_uploads_in_progress") == 2
    assert found.get("jobsvc_commit_duration_seconds_count", kind="one") == 2


def test_what_ended_processes_have_counted_goes_into_one_file_and_what_they_were_at_is_over(shared: Path) -> None:
    for number in (1, 2, 3):
        pid = counted(number)
        before = told()
        assert shared_files.bury(pid)
        after = told()
        for name in ("jobsvc_uploaded_bytes_total", "jobsvc_commit_duration_seconds_count"):
            labels = {"kind": "one"} if "commit" in name else {}
            assert after.get(name, **labels) == before.get(name, **labels)
        assert after.count("jobsvc_uploads_in_progress") == 0
        assert list(shared.glob(f"*_{pid}.db")) == []
    assert told().get("jobsvc_uploaded_bytes_total") == 6
    assert told().get("jobsvc_commit_duration_seconds_bucket", kind="one", le="0.5") == 3
    assert len(list(shared.glob("*_dead.db"))) == 2


def test_no_process_is_buried_while_somebody_reads_the_files(shared: Path) -> None:
    pid = counted(5)
    with shared_files.read(shared):
        assert not shared_files.bury(pid)
        assert list(shared.glob(f"counter_{pid}.db")) != []
    assert shared_files.bury(pid)
    assert told().get("jobsvc_uploaded_bytes_total") == 5


def test_a_file_that_is_just_being_made_is_none_yet(shared: Path) -> None:
    (shared / "counter_1234567.db").touch()
    counted(2)
    assert told().get("jobsvc_uploaded_bytes_total") == 2
    assert shared_files.bury(1234567)
    assert not (shared / "counter_1234567.db").exists()


def test_the_next_server_removes_what_a_killed_one_has_left_and_nothing_else(shared: Path, tmp_path: Path) -> None:
    place = f"Path({str(tmp_path)!r})"
    begin = f"from pathlib import Path\nfrom jobsvc.metrics import shared_files\nprint(shared_files.begin({place}))"
    (tmp_path / "jobsvc-metrics-just-being-made").mkdir()
    (tmp_path / "jobsvc").mkdir()
    left = Path(run(begin).strip())
    assert left.exists()
    other = Path(run(begin).strip())
    assert not left.exists()
    assert {path.name for path in tmp_path.iterdir()} == {
        *("jobsvc-metrics-just-being-made", "jobsvc"),
        *(shared.name, other.name),
    }


def test_nobody_else_s_directory_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(shared_files.VARIABLE, str(tmp_path))
    counted(3)
    assert list(tmp_path.iterdir()) == []
    assert told().get("jobsvc_uploaded_bytes_total") == 0
    assert shared_files.bury(1)
    shared_files.end()
    assert tmp_path.exists()


ON_A_SMALL_DISK = """
import os
from pathlib import Path
from jobsvc.metrics import shared_files

def fill():
    descriptor = os.open(place / "filler", os.O_WRONLY | os.O_CREAT)
    try:
        while os.write(descriptor, bytes(4096)):
            pass
    except OSError:
        pass

place = Path({place!r})
{steps}
from jobsvc.metrics.exposition import exposition
from jobsvc.metrics.instruments import COMMIT_SECONDS, UPLOADED_BYTES
fill()
for number in range(100):
    COMMIT_SECONDS.labels(kind=f"kind {{number}}").observe(0.3)
UPLOADED_BYTES.inc(7)
print(shared_files.directory(), *sorted(path.name for path in place.glob("*/*.db")))
print(exposition().decode())
"""


@pytest.mark.skipif(sys.platform != "linux" or not may_mount(), reason="nothing can be mounted here")
@pytest.mark.parametrize(
    ("steps", "is_shared"),
    [
        ("shared_files.begin(place)\nshared_files.reserve()", True),
        ("shared_files.begin(place)\nfill()\nshared_files.reserve()", False),
        ("fill()\nshared_files.begin(place)\nshared_files.reserve()", False),
    ],
    ids=["full later", "full before the process", "full before the server"],
)
def test_on_a_full_disk_a_process_goes_on_and_tells_what_it_has_measured(
    tmp_path: Path, steps: str, is_shared: bool
) -> None:
    program = ON_A_SMALL_DISK.format(place=str(tmp_path), steps=steps)
    script = f"mount -t tmpfs -o size=4m tmpfs '{tmp_path}' && exec '{sys.executable}' -c \"$0\""
    ended = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, program], check=False, capture_output=True, text=True, cwd=ROOT
    )
    # A write to a page that has no room would end it by SIGBUS.
    assert ended.returncode == 0, (ended.returncode, ended.stderr)
    first, _, told = ended.stdout.partition("\n")
    found = Scraped(told)
    assert found.get("jobsvc_uploaded_bytes_total") == 7
    assert found.get("jobsvc_commit_duration_seconds_count", kind="kind 99") == 1
    assert (not first.startswith("None")) == is_shared
    assert ("no room in" in ended.stderr) != is_shared
    if not is_shared:
        assert "histogram" not in first.replace("histogram_dead.db", ""), "nothing is left half made"


def test_a_server_that_starts_at_the_same_moment_takes_no_directory_that_is_just_being_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(shared_files.VARIABLE, "")
    real, met = fcntl.flock, list[Path]()

    def another_starts(descriptor: int, operation: int) -> None:
        if not met:
            # Its lock is not there yet; whatever is in its directory is.
            met.extend(tmp_path.iterdir())
            run(BEGIN.format(place=str(tmp_path)))
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", another_starts)
    made = shared_files.begin(tmp_path)
    assert made is not None
    assert met == [made]
    assert (made / shared_files.ALIVE).exists()
    shared_files.end()


BEGIN = "from pathlib import Path; from jobsvc.metrics import shared_files; print(shared_files.begin(Path({place!r})))"
