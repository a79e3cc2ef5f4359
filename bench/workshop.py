"""What every measurement works with: a directory, real files, real servers."""

from __future__ import annotations

import csv
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count, islice
from pathlib import Path
from typing import Any

from bench.client import Answer, Client
from bench.scale import Scale
from jobsvc.settings import VARIABLES
from tests.support import processes
from tests.support.databases import lay_out
from tests.support.flights import unpack_flights
from tests.support.server import Server
from tests.support.waiting import poll

DATE_COLUMN = "time_hour"

POLL_SECONDS = 0.02
"""How often progress is looked at: seldom enough to cost nothing, often enough for what takes seconds."""

LONGEST_SECONDS = 600.0

_SET_BY_SERVER = {"PORT", "JOBSVC_DATA_DIR"}


class Workshop:
    """A temporary directory, and what is made in it as it is needed."""

    def __init__(self, directory: Path, scale: Scale) -> None:
        self.directory = directory
        self.scale = scale
        self.flights = unpack_flights(directory)
        self._numbers = count(1)

    def part(self, rows: int) -> Path:
        """The first rows of flights.csv, or all of it and as many again as are needed."""
        path = self.directory / f"flights-{rows}.csv"
        if not path.exists():
            with self.flights.open("rb") as source, path.open("wb") as part:
                part.write(source.readline())
                begin = source.tell()
                while rows > 0:
                    source.seek(begin)
                    lines = list(islice(source, rows))
                    part.writelines(lines)
                    rows -= len(lines)
        return path

    def quoted(self, rows: int) -> Path:
        """The same rows, with quotes around every field."""
        return self._rewritten(rows, "quoted", csv.QUOTE_ALL, "")

    def partly_quoted(self, rows: int) -> Path:
        """The same rows, with one field of each that needs quotes."""
        return self._rewritten(rows, "partly-quoted", csv.QUOTE_MINIMAL, ", x")

    def _rewritten(self, rows: int, name: str, quoting: Any, added: str) -> Path:
        path = self.directory / f"{name}-{rows}.csv"
        if not path.exists():
            with self.part(rows).open(newline="") as source, path.open("w", newline="") as target:
                reader, writer = csv.reader(source), csv.writer(target, quoting=quoting)
                writer.writerow(next(reader))
                writer.writerows([fields[0] + added, *fields[1:]] for fields in reader)
        return path

    def large(self) -> Path:
        """flights.csv repeated under one header: 500 MB in the full bench."""
        path = self.directory / "large.csv"
        if not path.exists():
            with self.flights.open("rb") as source, path.open("wb") as large:
                large.write(source.readline())
                begin = source.tell()
                for _ in range(self.scale.copies):
                    source.seek(begin)
                    shutil.copyfileobj(source, large, 1024 * 1024)
        return path

    def fresh_path(self, name: str) -> Path:
        return self.directory / f"{name}-{next(self._numbers)}"

    @contextmanager
    def server(self, data_dir: Path | None = None, **settings: str) -> Iterator[Running]:
        """A server on a fresh data directory, removed at the end; settings that aren't named have their defaults."""
        if data_dir is None:
            data_dir = self.fresh_path("data")
            if processes.are_forked():
                # Starts are to take little time: this one finds its tables.
                lay_out(data_dir, "")
        # An empty value counts as not set, and keeps out what a developer's .env says.
        defaults = {variable.name: "" for variable in VARIABLES if variable.name not in _SET_BY_SERVER}
        server = Server(data_dir, None, **defaults | settings)
        try:
            yield Running(server.start())
        finally:
            _kill(server)
            shutil.rmtree(data_dir)

    @contextmanager
    def other_server(self, app: str, data_dir: Path) -> Iterator[Client]:
        """Another application under the same gunicorn settings."""
        server = Server(data_dir, [sys.executable, "-m", "gunicorn", app])
        try:
            yield Client(server.start().port)
        finally:
            _kill(server)


def _kill(server: Server) -> None:
    if server.process is not None and server.process.poll() is None:
        server.kill()


class Running:
    """A server that is up, and its client."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.client = Client(server.port)
        self.pid = server.worker_pid()

    def upload(self, file: Path, **fields: str) -> str:
        """Upload a file as baselineCSV; returns the job's id."""
        answer = self.client.upload(file, fields={"date_column": DATE_COLUMN, **fields})
        assert answer.status == 200, answer
        job_id: str = answer.json["Job ID"]
        return job_id

    def job(self, job_id: str) -> Any:
        return self.client.get(f"/jobs/{job_id}").json

    def in_state(self, state: str) -> list[str]:
        """The ids of the jobs in a state, at most 100."""
        return [job["id"] for job in self.client.get(f"/jobs?state={state}").json["jobs"]]

    def wait_succeeded(self, *job_ids: str) -> None:
        """Wait until the jobs have succeeded. Looks into the database: the service is measured, and not who asks it."""
        wanted = f"SELECT state FROM jobs WHERE id IN ({', '.join('?' * len(job_ids))})"

        def succeeded() -> bool:
            states = {state for (state,) in self.server.query(wanted, *job_ids)}
            assert not states & {"failed", "terminated"}, states
            return states == {"succeeded"}

        wait_until(succeeded)

    def finished_at(self, job_id: str) -> datetime:
        """When a job ended. Answers tell whole seconds; the database has it to the microsecond."""
        ((text,),) = self.server.query("SELECT finished_at FROM jobs WHERE id = ?", job_id)
        return datetime.fromisoformat(text).replace(tzinfo=UTC)

    def drop(self, job_id: str) -> None:
        """End a job and remove its file."""
        assert self.client.post(f"/jobs/{job_id}/terminate").status in (200, 409)
        assert self.client.delete(f"/jobs/{job_id}").status == 204

    def pause(self, job_id: str) -> Answer:
        return self.client.post(f"/jobs/{job_id}/pause")

    def resume(self, job_id: str) -> None:
        answer = self.client.post(f"/jobs/{job_id}/resume")
        assert answer.status == 200, answer


def wait_until(condition: Callable[[], bool]) -> None:
    poll(condition, LONGEST_SECONDS, "what is measured", POLL_SECONDS)
