"""Memory is flat: it does not grow with the size of a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.server import Server
from tests.support.stores import LOCAL, S3, s3_environ

KIB = 1024
MIB = 1024 * KIB

FILE_BYTES = 150 * MIB
PIECE_ROWS = 1000
FIELD = "x" * 1000
"""Wide rows make a large file that is quickly imported."""

MAX_GROWTH_BYTES = 32 * MIB
"""Connections, caches and one batch; any copy of the file, or of a part of it that grows with it, is more."""

S3_BYTES = 48 * MIB
"""The pieces that the client of S3 sends and reads ahead, each of which it copies."""

FORGET_PEAK = "5"
"""What makes the kernel forget a process's peak memory, written to its clear_refs (proc(5))."""


def peak_memory(pid: int) -> int:
    """The most bytes of memory that a process has had since its peak was forgotten."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "VmHWM":
            return int(value.split()[0]) * KIB
    raise LookupError("VmHWM")


def begin_to_measure(pid: int) -> int:
    """Returns the bytes of memory that the process has now; its peak counts from here."""
    Path(f"/proc/{pid}/clear_refs").write_text(FORGET_PEAK)
    return peak_memory(pid)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A CSV of plain rows, with a quoted one here and there, so that both ways of reading it are taken."""
    file = tmp_path / "large.csv"
    plain = f"2026-01-31,{FIELD},{FIELD}\n" * PIECE_ROWS
    quoted = f'2026-01-31,"{FIELD}",{FIELD}\n' + plain
    with file.open("w") as out:
        out.write("date,a,b\n")
        for number in range(FILE_BYTES // len(plain)):
            out.write(quoted if number % 4 == 0 else plain)
    return file


@pytest.mark.stores(LOCAL, S3)
def test_an_upload_and_its_import_take_no_more_memory_for_a_large_file(
    make_server: Callable[..., Server], large: Path, files_url: str
) -> None:
    server = make_server(JOBSVC_FILES_URL=files_url, **(s3_environ() if files_url.startswith("s3:") else {})).start()
    most = MAX_GROWTH_BYTES + (S3_BYTES if files_url.startswith("s3:") else 0)
    worker = server.worker_pid()
    idle = begin_to_measure(worker)
    job_id = server.upload(large)
    received = peak_memory(worker) - idle
    assert received < most, f"receiving it took {received // MIB} MiB"
    job = server.wait_for(job_id, "succeeded", "failed")
    assert (job["state"], job["progress"]["failed"]) == ("succeeded", 0)
    assert server.worker_pid() == worker
    grown = peak_memory(worker) - idle
    print(f"idle {idle / MIB:.1f} MiB, receiving +{received / MIB:.1f}, importing +{grown / MIB:.1f}")
    assert grown < most, f"importing it took {grown // MIB} MiB"
