"""A server on a disk of its own that is really full. Mounting one takes root; elsewhere this is left out."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.mounting import may_mount
from tests.support.processes import ROOT
from tests.support.server import Server
from tests.support.waiting import poll

DISK = "96m"
LEAST = 24 * 1024 * 1024


pytestmark = pytest.mark.skipif(sys.platform != "linux" or not may_mount(), reason="nothing can be mounted here")


class Disk:
    """A small disk that only the server sees."""

    def __init__(self, at: Path) -> None:
        self.at = at
        mount = f"mount -t tmpfs -o size={DISK} tmpfs '{at}' && echo there && exec cat"
        self._holder = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", mount], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"there\n"
        self.path = Path(f"/proc/{self._holder.pid}/root{at}")
        self.filler = self.path / "filler"

    def command(self) -> list[str]:
        """gunicorn, where the disk is mounted."""
        inner = f"cd '{ROOT}' && exec '{sys.executable}' -m gunicorn"
        return ["nsenter", "-t", str(self._holder.pid), "-m", "sh", "-c", inner]

    def fill(self) -> None:
        """To the last byte."""
        descriptor = os.open(self.filler, os.O_WRONLY | os.O_CREAT)
        for size in (1024 * 1024, 4096):
            with suppress(OSError):
                while True:
                    os.write(descriptor, bytes(size))
        os.close(descriptor)

    def close(self) -> None:
        self._holder.kill()
        self._holder.wait()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    at = tmp_path / "disk"
    at.mkdir()
    disk = Disk(at)
    yield disk
    disk.close()


def test_a_server_starts_on_a_full_disk_can_be_read_and_steered_and_goes_on_when_there_is_room(
    disk: Disk, make_server: Callable[..., Server], tmp_path: Path
) -> None:
    file = tmp_path / "x.csv"
    file.write_text("date,n\n2026-01-01,1\n2026-01-02,2\n")

    def server() -> Server:
        return make_server(disk.command(), disk.at / "data", JOBSVC_MIN_FREE_BYTES=str(LEAST))

    first = server().start()
    job_id = first.upload(file)
    first.wait_for(job_id, "succeeded")
    reserve = disk.path / "data" / "jobsvc.db-reserve"
    poll(lambda: first.get("/readyz") is not None and reserve.exists(), 30, "the reserve")
    disk.fill()
    first.kill()
    second = server().start(wait=False)
    poll(second.is_listening, 30, "the server to listen")
    assert second.job(job_id)["state"] == "succeeded"
    assert not reserve.exists()
    assert len(second.get(f"/records?job={job_id}")["records"]) == 2
    status, answer = second.post("/exportData", {"from": "2026-01-01", "to": "2026-01-02"})
    assert status == 200, answer
    waiting = answer["Job ID"]
    status, answer = second.post(f"/jobs/{waiting}/pause")
    assert (status, answer["state"]) == (200, "paused")
    status, answer = second.post(f"/jobs/{waiting}/resume")
    assert (status, answer["state"]) == (200, "queued")
    upload = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-F", f"file=@{file}", f"{second.url}/uploadCSV"]
    assert subprocess.check_output(upload) == b"507"
    delete = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", "DELETE", f"{second.url}/jobs/{job_id}"]
    assert subprocess.check_output(delete) == b"204"
    disk.filler.unlink()
    second.wait_for(waiting, "succeeded")
    assert second.job(waiting)["attempt"] == 1
    poll(reserve.exists, 30, "the reserve to be made anew")
    assert second.get("/readyz")["status"] == "ready"
    assert "Traceback" not in second.log.read_text()
