"""The service without HTTP: its parts, put together so that a test can hold each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sqlalchemy import select

from jobsvc.clock import now
from jobsvc.engines.threads import ThreadEngine
from jobsvc.files.contract import Files
from jobsvc.files.local.files import LocalFiles
from jobsvc.jobs.job import Job
from jobsvc.jobs.states import State
from jobsvc.jobs.transition import transition
from jobsvc.kinds.contract import Kind
from jobsvc.process.engines import Engines, threads
from jobsvc.process.parts import build_core
from jobsvc.runs.hooks import tell
from jobsvc.runs.rollback import Rollbacks
from jobsvc.runs.runner import Runner
from jobsvc.runs.signals import Signals
from jobsvc.service.core import Core
from jobsvc.service.jobs import JobService
from jobsvc.service.new_job import NewJob
from jobsvc.service.notifier import Notifier
from jobsvc.settings import Settings
from jobsvc.store.database import Database
from jobsvc.store.tables import records
from tests.support.databases import lay_out
from tests.support.gated import Gated
from tests.support.waiting import TIMEOUT, Commits

WHO = "Ann"


@dataclass
class Environment:
    core: Core
    engines: Engines
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
        limits: Mapping[str, int] = MappingProxyType({}),
        kinds: Iterable[Kind] = (),
        claiming: Callable[[Callable[[], Job | None]], Callable[[], Job | None]] = lambda claim: claim,
    ) -> Environment:
        """Everything, with the engines yet to be started, by the functions that `create_app` calls.

        `limits` are settings of what each user may have.
        `kinds` are there beside the gated one; `claiming` may wrap how the engine claims jobs.
        """
        data_dir.mkdir(exist_ok=True)
        lay_out(data_dir, database_url)
        settings = Settings(
            data_dir=data_dir,
            database_url=database_url,
            max_running=slots,
            park_after=park_after,
            max_queued=max_queued,
            # Whatever room the machine has.
            min_free_bytes=0,
            **limits,  # type: ignore[arg-type]
        )
        gated = Gated()
        core = build_core(settings, [gated, *kinds])
        core.runner.claim = claiming(core.runner.claim)
        engines = threads(core, settings)
        return cls(core, engines, core.service(engines.runs, engines.rollbacks), gated, commits)

    @property
    def database(self) -> Database:
        return self.core.database

    @property
    def files(self) -> LocalFiles:
        assert isinstance(self.core.files, LocalFiles)
        return self.core.files

    @property
    def kinds(self) -> Mapping[str, Kind]:
        return self.core.kinds

    @property
    def runner(self) -> Runner:
        return self.core.runner

    @property
    def rollbacks(self) -> Rollbacks:
        return self.core.rollbacks

    @property
    def notifier(self) -> Notifier:
        return self.core.notifier

    @property
    def engine(self) -> ThreadEngine[Job, Signals]:
        assert isinstance(self.engines.runs, ThreadEngine)
        return self.engines.runs

    @property
    def rollback_engine(self) -> ThreadEngine[Job, Signals]:
        assert isinstance(self.engines.rollbacks, ThreadEngine)
        return self.engines.rollbacks

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
        for job in self.core.recover(resume=resume):
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

    def another_process(self, now: Callable[[], datetime] = now, files: Files | None = None) -> Core:
        """What another process would have, on the same database and, unless given, the same files."""
        return Core.on(self.database, files or self.files, self.kinds, now, self.core.settings)

    def ask_for(self, job: Job, state: State) -> None:
        """Write what a request asks of the job, and tell no run of it: it has to find that by itself."""
        with self.database.write(urgent=True) as connection:
            transition(connection, self.job(job), state, who=WHO, at=now())

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
