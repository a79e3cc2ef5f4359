"""What a run says for its job's log: no line is lost, and none is written twice, whatever becomes of a commit."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from threading import Thread

import pytest

from jobsvc.clock import now
from jobsvc.jobs.job import Job
from jobsvc.jobs.run_log import RunLog
from jobsvc.jobs.states import SERVICE, State
from jobsvc.jobs.transition import transition
from jobsvc.store.queries import job_rows, log_rows
from tests.support.environment import Environment
from tests.support.waiting import TIMEOUT

pytestmark = pytest.mark.both_databases


class Broken(Exception):
    """Ends a transaction before its commit."""


class Log:
    """The log of a job that waits, which a run would write."""

    def __init__(self, env: Environment) -> None:
        self.env, self.job = env, env.submit()
        self.said = RunLog(self.job.attempt, now)

    def commit(self, *, heard: bool = True, fails: bool = False) -> None:
        """A transaction that writes what was said; one whose answer is not `heard` may be committed, or not."""
        with suppress(Broken), self.env.database.write() as connection:
            job_rows.by_key(connection, self.job.key, lock=True)
            said = self.said.write(connection, self.job.key)
            if fails:
                raise Broken
        if heard:
            self.said.written(said)

    def taken_to(self, state: State) -> None:
        """Another transaction, which writes a line of the service."""
        with self.env.database.write() as connection:
            job = Job.from_row(job_rows.by_key(connection, self.job.key, lock=True))
            assert transition(connection, job, state, who=SERVICE, at=now()) is not None

    @property
    def lines(self) -> list[str]:
        with self.env.database.read() as connection:
            found = log_rows.of_job(connection, self.job.key, 0, 5_000)
        numbers = [row["line"] for row in found]
        assert numbers == sorted(set(numbers))
        return [row["text"] for row in found if row["by_kind"]]


@pytest.fixture
def log(idle: Environment) -> Log:
    return Log(idle)


class Interrupted(deque[object]):
    """Waiting lines; when it is first looked whether there are any, another thread says one."""

    thread: Thread | None = None

    def __len__(self) -> int:
        count = super().__len__()
        if self.thread is not None and self.thread.ident is None:
            self.thread.start()
            # It says its line now, or waits until whoever looks has looked.
            self.thread.join(0.5)
        return count


def test_a_line_that_is_said_while_the_others_are_written_is_not_lost(log: Log) -> None:
    waiting = Interrupted(maxlen=log_rows.MAX_LINES)
    log.said._waiting = waiting  # type: ignore[assignment]
    waiting.thread = Thread(target=lambda: log.said("said meanwhile"))
    log.commit()
    waiting.thread.join(TIMEOUT)
    log.commit()
    assert log.lines == ["said meanwhile"]


def test_what_is_committed_is_not_written_again_when_the_answer_was_lost(log: Log) -> None:
    log.said("one")
    log.said("two")
    log.commit(heard=False)
    log.said("three")
    log.commit(heard=False)
    log.commit()
    assert log.lines == ["one", "two", "three"]


def test_what_is_not_committed_is_written_again(log: Log) -> None:
    log.said("one")
    log.commit(heard=False, fails=True)
    # The service's own line has the number now that it had.
    log.taken_to(State.PAUSED)
    log.said("two")
    log.commit()
    log.commit()
    assert log.lines == ["one", "two"]


def test_of_more_lines_than_are_kept_none_is_written_again_either(log: Log) -> None:
    for number in range(log_rows.MAX_LINES + 5):
        log.said(f"{number}")
    log.commit(heard=False)
    for number in range(3):
        log.said(f"more {number}")
    log.commit()
    assert log.lines[-5:] == ["1003", "1004", "more 0", "more 1", "more 2"]
    assert len(set(log.lines)) == len(log.lines)
