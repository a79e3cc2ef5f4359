"""One job in a service of its own, which can be killed and started again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from shutil import copyfile, rmtree
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.pool import ConnectionPoolEntry

from jobsvc.files.local.files import LocalFiles
from jobsvc.identifiers import JobKey
from jobsvc.jobs.job import Job
from jobsvc.jobs.states import State
from jobsvc.kinds.contract import Kind
from jobsvc.runs.hooks import tell
from jobsvc.runs.signals import Signals
from jobsvc.service.core import Core
from jobsvc.service.new_job import NewJob, checked
from jobsvc.service.results import Results
from jobsvc.settings import Settings
from jobsvc.store.commits.at_once import AtOnce, T, Write
from jobsvc.store.database import Database
from jobsvc.store.queries import log_rows, refused_rows
from jobsvc.testing.faults import Fault, FaultType, Killed, Probe
from jobsvc.testing.outcome import Logged, Outcome, Row, contents
from jobsvc.testing.probed import ProbedKind

USER = "Jon-Doe"

MOMENT = datetime(2026, 1, 31, 10, tzinfo=UTC)
"""The time of day, always: what a job makes must not depend on when it goes on."""

MAX_ROWS_READ = 100_000


class CrashingDatabase(Database):
    """The database file `path`. Around each commit it asks the probe of the present run, and dies where that says so.

    One object serves all runs, and is opened again for each run and after each death:
    a new object would compile all statements again.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(f"sqlite:///{path}")
        self.path = path
        self.probe = Probe(Fault(FaultType.NOTHING))
        # A death of the process loses nothing that was written; only a power cut would.
        event.listen(self.backend.engine, "connect", _write_unsynced)

    def reopen(self) -> None:
        self.close()
        self._closed = False
        self.probe.dead = False

    def begin(self, template: Path, probe: Probe) -> None:
        """Begin with a copy of another database."""
        self.reopen()
        for suffix in ("-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        copyfile(template, self.path)
        self.probe = probe

    @contextmanager
    def write(
        self,
        *,
        urgent: bool = False,
        urgent_when: Callable[[], bool] | None = None,
        within: float | None = None,
        reserve: bool | None = None,
    ) -> Iterator[Connection]:
        self._live()
        with super().write(urgent=urgent, urgent_when=urgent_when, within=within, reserve=reserve) as connection:
            yield connection
            self.probe.before_commit()
        self.probe.after_commit()

    def submit(self, write: Write[T], urgent: Callable[[], bool]) -> Future[T]:
        """On the thread of the run: the probe counts what it does, in order."""
        return AtOnce(lambda urgent: self.write(urgent_when=urgent)).submit(write, urgent)

    @contextmanager
    def read(self, *, within: float | None = None) -> Iterator[Connection]:
        self._live()
        with super().read(within=within) as connection:
            yield connection

    def _live(self) -> None:
        if self.probe.dead:
            raise Killed


def _write_unsynced(connection: Any, _entry: ConnectionPoolEntry) -> None:
    connection.execute("PRAGMA synchronous=OFF").close()


class KindEnvironment:
    """Runs one job of `kind` on `database`, which has begun with `probe`. It is the engine of its own service."""

    def __init__(self, database: CrashingDatabase, kind: Kind, probe: Probe, step: int) -> None:
        self._database = database
        self._files_dir = database.path.with_suffix(".files")
        rmtree(self._files_dir, ignore_errors=True)
        self._kinds: Mapping[str, Kind] = {kind.name: ProbedKind(kind, probe, step)}
        self._kind = kind
        self._id = f"{USER}-{kind.name}-1575836394-8469"
        self._signals = Signals()
        self._kept: dict[Path, bytes] | None = None
        self.then_roll_back = False
        """Whether a job that is paused is rolled back then, instead of resumed."""
        probe.pause = self._pause
        probe.shut_down = self._shut_down
        probe.on_death = self._keep_files
        self._start()

    def _start(self) -> None:
        """What the service does when it starts."""
        self._files = LocalFiles(self._files_dir)
        core = Core.on(self._database, self._files, self._kinds, _now, Settings())
        self._runner, self._rollbacks = core.runner, core.rollbacks
        self._service = core.service(self, self)
        for job in core.recover(resume=True):
            tell(self._kinds, job)

    def submit(self, csv: bytes | None, params: Mapping[str, Any]) -> None:
        if csv is not None:
            self._files.input(self._id).write_bytes(csv)
        upload = None if csv is None else self._files.uploaded(self._id)
        found = checked(self._kind, params, upload, Results(self._database, self._files))
        self._service.submit(NewJob(id=self._id, kind=self._kind.name, user=USER, params=found.params))

    def run(self) -> None:
        """Run the job until it has ended, faults included."""
        while (job := self._runner.claim()) is not None:
            if self._survives(self._runner.run, job):
                state = self._service.get(self._id).state
                if state is State.INTERRUPTED:
                    self._restart()
                elif state is State.PAUSED and not self.then_roll_back:
                    self._service.resume(self._id, USER, 0)

    def roll_back(self) -> None:
        """Remove everything that the job has made, faults included."""
        self._service.terminate(self._id, USER, 0, rollback=True)
        while (job := self._rollbacks.claim()) is not None:
            if (
                self._survives(self._rollbacks.run, job)
                and self._signals.shutting_down
                and self.job().state is State.TERMINATING
            ):
                self._restart()

    def _survives(self, run: Callable[[Job, Signals], object], job: Job) -> bool:
        """Whether the process is still there when `job` has left its run."""
        self._signals = Signals()
        try:
            run(job, self._signals)
        except Killed:
            self._restart()
            return False
        return True

    def _restart(self) -> None:
        self._database.reopen()
        if self._kept is not None:
            self._files.remove_output(self._id)
            for path, data in self._kept.items():
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(data)
            self._kept = None
        self._start()

    def _keep_files(self) -> None:
        """Keep what has reached the files. A dead run still closes its work, which may write what it has in buffers."""
        self._kept = {path: path.read_bytes() for path in self._files.output(self._id).glob("*")}

    def _pause(self) -> None:
        self._service.pause(self._id, USER, 0)

    def _shut_down(self) -> None:
        self._signals.shut_down()

    tells_ahead = False

    def asking(self, running: object = None) -> AbstractContextManager[KindEnvironment]:
        return nullcontext(self)

    def queue(
        self, connection: Connection, job: Job, *, ahead: bool = False, after: float = 0.0, when_left: bool = False
    ) -> None:
        """Nothing is queued: `run` and `roll_back` do what there is to do."""

    def stop(self, connection: Connection, job: Job, *, for_good: bool) -> None:
        """The one run that there may be is told by `signal`, or comes to its checkpoint."""

    def signal(self, key: JobKey, attempt: int) -> bool:
        self._signals.stop.set()
        return True

    def job(self) -> Job:
        return self._service.get(self._id)

    def contents(self, only: Collection[str] | None, ignore: Collection[str]) -> dict[str, list[Row]]:
        with self._database.read() as connection:
            return contents(connection, only, ignore)

    def outcome(self, only: Collection[str] | None, ignore: Collection[str], outside: Any) -> Outcome:
        job = self.job()
        output = self._files.result(self._id, job.attempt)
        with self._database.read() as connection:
            refused = refused_rows.of_job(connection, job.key, 0, MAX_ROWS_READ)
            log = [row for row in log_rows.of_job(connection, job.key, 0, MAX_ROWS_READ) if row["by_kind"]]
        return Outcome(
            state=job.state,
            done=job.done,
            failed=job.failed,
            error=job.error,
            refused=[(row["line"] or row["item"], row["error"]) for row in refused],
            tables=self.contents(only, ignore),
            output=output.path.read_bytes() if output and output.path else None,
            outside=outside,
            log=[Logged(row["text"], row["level"], row["item"], row["attempt"]) for row in log],
        )


def _now() -> datetime:
    return MOMENT
