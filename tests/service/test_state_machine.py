"""Random commands against a job in a real application, beside a model of what must come of them."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import select

from jobsvc.process.app import create_app
from jobsvc.service.new_job import NewJob
from jobsvc.settings import Settings
from jobsvc.store.database import Database
from jobsvc.store.tables import job_events, jobs, records
from jobsvc.web.services import Services
from tests.support.api import Api
from tests.support.databases import fresh
from tests.support.gated import Gated
from tests.support.waiting import noted_commits

COUNT = 7

AT_THE_GATE = ("running", "pausing", "terminating")
"""States in which a run stands at an item and waits for it to be let through."""


class OneJob(RuleBasedStateMachine):
    """The model: `state`, `taken` items that were let through, `base` where the current run began."""

    which = "sqlite"

    def __init__(self) -> None:
        super().__init__()
        self._open = ExitStack()
        self._commits = self._open.enter_context(noted_commits())
        directory = Path(self._open.enter_context(tempfile.TemporaryDirectory()))
        url = self._open.enter_context(fresh(self.which))
        self._settings = Settings(data_dir=directory / "data", database_url=url, max_running=1, min_free_bytes=0)
        self._app_open = False
        self.state = ""

    @initialize(
        batch=st.integers(1, 3), park_after=st.sampled_from([0.0, 300.0]), paused_threads=st.sampled_from([0, 64])
    )
    def submit(self, batch: int, park_after: float, paused_threads: int) -> None:
        self._settings = replace(self._settings, park_after=park_after, paused_threads=paused_threads)
        self._batch = batch
        self._start_app()
        self._database = Database(self._settings.url)
        self._open.callback(self._database.close)
        service = self._services.jobs
        params = {"count": COUNT, "batch": batch}
        new = NewJob(id=service.new_id("Ann", "gated"), kind="gated", user="Ann", params=params)
        self._job_id = service.submit(new).id
        self.taken = 0
        self._runs()

    @property
    def committed(self) -> int:
        """Items whose effects must be there: whole batches while a run is under way, all of them afterwards."""
        if self.state in AT_THE_GATE:
            return self._base + (self.taken - self._base) // self._batch * self._batch
        return self.taken

    def _start_app(self) -> None:
        self._gated, self._passed = Gated(), 0
        app = create_app(self._settings, own_process=False, extra_kinds=[self._gated])
        found = app.extensions["jobsvc"]
        assert isinstance(found, Services)
        self._services = found
        self._api = Api(app, self._commits)
        self._app_open = True

    def _runs(self) -> None:
        """A run has begun: either it stands at its first item, or there was none left."""
        self._base = self.taken
        if self.taken == COUNT:
            self.state = "succeeded"
            self._api.wait_for(self._job_id, "succeeded")
            return
        self.state = "running"
        self._api.wait_for(self._job_id, "running")
        self._gated.gate.wait_reached(self._passed + 1)

    def _pass(self, items: int) -> None:
        self._gated.gate.open(items)
        self._passed += items
        self.taken += items

    @precondition(lambda self: self.state == "running")
    @rule(items=st.integers(1, 4))
    def let_items_through(self, items: int) -> None:
        self._pass(min(items, COUNT - self.taken))
        if self.taken == COUNT:
            self.state = "succeeded"
            self._api.wait_for(self._job_id, "succeeded")
        else:
            self._gated.gate.wait_reached(self._passed + 1)

    @precondition(lambda self: self.state in ("pausing", "terminating"))
    @rule()
    def let_the_item_under_way_through(self) -> None:
        self._pass(1)
        self.state = {"pausing": "paused", "terminating": "terminated"}[self.state]
        self._api.wait_for(self._job_id, self.state)

    def _ask(self, action: str) -> tuple[int, Any]:
        return self._api.post(f"/jobs/{self._job_id}/{action}?wait=0")

    @rule()
    def pause(self) -> None:
        status, job = self._ask("pause")
        expected = {"running": (202, "pausing"), "pausing": (202, "pausing"), "paused": (200, "paused")}
        if self.state in expected:
            code, self.state = expected[self.state]
            assert (status, job["state"]) == (code, self.state)
        else:
            assert status == 409

    @rule()
    def resume(self) -> None:
        status, job = self._ask("resume")
        if self.state == "paused":
            assert status == 200
            assert job["state"] in ("queued", "running", "succeeded")
            self._runs()
        elif self.state == "running":
            assert (status, job["state"]) == (200, "running")
        else:
            assert status == 409

    @rule()
    def terminate(self) -> None:
        status, job = self._ask("terminate")
        expected = {
            "running": (202, "terminating"),
            "pausing": (202, "terminating"),
            "terminating": (202, "terminating"),
            "paused": (200, "terminated"),
            "terminated": (200, "terminated"),
        }
        if self.state in expected:
            code, self.state = expected[self.state]
            assert (status, job["state"]) == (code, self.state)
        else:
            assert status == 409

    @rule()
    def roll_back(self) -> None:
        wait = 0 if self.state == "terminating" else 30
        status, job = self._api.post(f"/jobs/{self._job_id}/rollback?wait={wait}")
        if self.state not in ("succeeded", "terminated", "terminating"):
            assert status == 409
            return
        if self.state == "terminating":
            # Its run stands at an item: nothing is rolled back before it has left.
            assert (status, job["state"], job["rolled_back"]) == (202, "terminating", False)
            self._pass(1)
            job = self._api.wait_for(self._job_id, "terminated")
        else:
            assert status == 200
        assert (job["state"], job["rolled_back"]) == ("terminated", True)
        self.state, self.taken = "terminated", 0

    @rule()
    def shut_down_and_start_again(self) -> None:
        at_the_gate = self.state in AT_THE_GATE
        # The first sign of a shutdown, which a signal gives in a process of its own.
        self._services.jobs.steering._engine.begin_shut_down()  # type: ignore[attr-defined]
        if at_the_gate:
            self._pass(1)
        self._close_app()
        self.state = {"pausing": "paused", "terminating": "terminated"}.get(self.state, self.state)
        self._start_app()
        if self.state == "running":
            self._runs()

    def _close_app(self) -> None:
        self._services.close()
        self._app_open = False

    @invariant()
    def the_job_is_what_the_model_says(self) -> None:
        if not self.state:
            return
        with self._database.read() as connection:
            job = connection.execute(select(jobs).where(jobs.c.id == self._job_id)).mappings().one()
            rows = list(connection.execute(select(records.c.row).order_by(records.c.row)).scalars())
            history = connection.execute(select(job_events.c["from"], job_events.c.to).order_by(job_events.c.id)).all()
        assert job["state"] == self.state
        assert job["done"] == self.committed
        assert rows == list(range(1, self.committed + 1))
        assert [before for before, _ in history] == [None, *(after for _, after in history[:-1])]
        assert history[-1][1] == self.state

    def teardown(self) -> None:
        try:
            if self.state:
                stopped = self.state not in AT_THE_GATE
                if self._app_open:
                    self._services.jobs.steering._engine.begin_shut_down()  # type: ignore[attr-defined]
                    self._gated.gate.open()
                    self._close_app()
                if stopped:
                    # With the gate wide open: what was stopped has stayed as it was.
                    self.the_job_is_what_the_model_says()
        finally:
            self._open.close()


class OneJobOnPostgresql(OneJob):
    which = "postgresql"


TestOneJobOnPostgresql = OneJobOnPostgresql.TestCase
TestOneJobOnPostgresql.settings = settings(deadline=None, max_examples=10, stateful_step_count=15)

TestOneJob = OneJob.TestCase
TestOneJob.settings = settings(deadline=None, max_examples=20, stateful_step_count=15)
