"""The service without HTTP: its parts, put together so that a test can hold each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select

from jobsvc.clock import now
from jobsvc.engines.threads import ThreadEngine
from jobsvc.files.belonging import settle
from jobsvc.files.local.files import LocalFiles
from jobsvc.jobs.job import Job
from jobsvc.jobs.states import State
from jobsvc.kinds.contract import Kind
from jobsvc.process.parts import ROLLBACKS_AT_ONCE
from jobsvc.runs.hooks import tell
from jobsvc.runs.recovery import recover
from jobsvc.runs.rollback import Rollbacks
from jobsvc.runs.runner import Runner
from jobsvc.runs.signals import Signals
from jobsvc.service.jobs import JobService
from jobsvc.service.new_job import NewJob
from jobsvc.service.notifier import Notifier
from jobsvc.settings import Settings
from jobsvc.store.database import Database
from jobsvc.store.migrate import prepare
from jobsvc.store.tables import records
from tests.support.databases import lay_out
from tests.support.gated import Gated
from tests.support.given_jobs import GivenJobs
from tests.support.waiting import TIMEOUT, Commits

WHO = "Ann"


@dataclass
class Environment:
    database: Database
    files: LocalFiles
    kinds: Mapping[str, Kind]
    runner: Runner
    rollbacks: Rollbacks
    engine: ThreadEngine[Job, Signals]
    rollback_engine: ThreadEngine[Job, Signals]
    notifier: Notifier
    service: JobService
    gated: Gated
    commits: Commits

    @classmethod
    def build(
        cls,
        data_dir: Path,
        commits: Commits,
        *,
        slots: int = 1,
        park_after: float = 300.0,
        max_queued: int = 100,
        database_url: str = "",
        kinds: Iterable[Kind] = (),
        claiming: Callable[[Callable[[], Job | None]], Callable[[], Job | None]] = lambda claim: claim,
    ) -> Environment:
        """Everything, with the engines yet to be started, as `create_app` puts it together.

        `kinds` are there beside the gated one; `claiming` may wrap how the engine claims jobs.
        """
        data_dir.mkdir(exist_ok=True)
        lay_out(data_dir, database_url)
        gated = Gated()
        by_name: dict[str, Kind] = {kind.name: kind for kind in (gated, *kinds)}
        database = Database(Settings(data_dir=data_dir, database_url=database_url).url)
        prepare(database)
        files = LocalFiles(data_dir / "files")
        settle(database, files)
        notifier = Notifier()
        runner = Runner(database, files, by_name, now)
        engine: ThreadEngine[Job, Signals] = ThreadEngine(
            GivenJobs(claiming(runner.claim), runner.run),
            on_leave=notifier.notify,
            slots=slots,
            park_after=park_after,
        )
        rollbacks = Rollbacks(database, files, by_name, now)
        rollback_engine: ThreadEngine[Job, Signals] = ThreadEngine(
            rollbacks,
            on_leave=notifier.notify,
            slots=ROLLBACKS_AT_ONCE,
            park_after=0,
            name="rollback",
        )
        rollbacks.claims.under_way = lambda: engine.under_way(rollback_engine.wake)
        service = JobService(
            database,
            files,
            by_name,
            engine,
            rollback_engine,
            notifier,
            now,
            max_queued=max_queued,
            idempotency_hours=24,
        )
        return cls(
            database, files, by_name, runner, rollbacks, engine, rollback_engine, notifier, service, gated, commits
        )

    def start(self) -> None:
        self.engine.start()
        self.rollback_engine.start()

    def begin_shut_down(self) -> None:
        self.engine.begin_shut_down()
        self.rollback_engine.begin_shut_down()

    def close(self) -> None:
        self.begin_shut_down()
        self.gated.gate.open()
        assert self.engine.shut_down(TIMEOUT) == []
        assert self.rollback_engine.shut_down(TIMEOUT) == []
        self.database.close()

    def recover(self, *, resume: bool = True) -> None:
        for job in recover(self.database, self.files, now, resume=resume, kinds=self.kinds):
            tell(self.kinds, job)

    def submit(self, **params: Any) -> Job:
        return self.submit_as("gated", **params)

    def submit_as(self, kind: str, **params: Any) -> Job:
        """Submit a job of another kind than the gated one."""
        return self.service.submit(NewJob(id=self.service.new_id(WHO, kind), kind=kind, user=WHO, params=params))

    def submit_reached(self, items: int = 1, **params: Any) -> Job:
        """Submit a job and let it go until its `items`-th item is at the gate."""
        before = self.gated.gate.reached
        job = self.submit(**params)
        self.gated.gate.open(items - 1)
        self.gated.gate.wait_reached(before + items)
        return self.job(job)

    def job(self, job: Job) -> Job:
        return self.service.get(job.id)

    def wait_left(self, job: Job) -> None:
        """Wait until the attempt of `job` has left its slot."""
        while True:
            version = self.notifier.version()
            with self.engine._changed:
                if self.engine._running(job.key, job.attempt) is None:
                    return
            assert self.notifier.wait(version, TIMEOUT), f"{job.id} did not leave its slot"

    def wait_for(self, job: Job, *states: State) -> Job:
        self.commits.wait_for(lambda: self.job(job).state in states, f"{job.id} to be {' or '.join(states)}")
        return self.job(job)

    def rows(self, job: Job) -> list[int]:
        """The rows of the job's records."""
        with self.database.read() as connection:
            query = select(records.c.row).where(records.c.job_key == job.key).order_by(records.c.row)
            return list(connection.execute(query).scalars())

    def history(self, job: Job) -> list[tuple[str | None, str, str]]:
        """(from, to, who) of each line of the job's history."""
        return [(line["from"], line["to"], line["who"]) for line in self.service.events(job.id)]
