from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from jobsvc.access.acts import Act, Outcome
from jobsvc.access.audit_line import Line
from jobsvc.clock import now
from jobsvc.service.auditing import recorder as recorder_module
from jobsvc.service.auditing.recorder import Recorder
from jobsvc.store.queries.callers.audit_rows import MAX_CHARACTERS
from tests.support.audit_lines import lines_of
from tests.support.environment import Environment
from tests.support.full_disk import full
from tests.support.waiting import TIMEOUT, Commits

pytestmark = pytest.mark.both_databases

REFUSED = Line(now(), Act.PAUSE, Outcome.REFUSED, "a job", user="ann", status=409, problem="not-allowed-now")


@pytest.fixture
def recorder(idle: Environment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    monkeypatch.setattr(recorder_module, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr(recorder_module, "WRITE_SECONDS", 0.05)
    made = Recorder(idle.database, now)
    yield made
    made.shut_down(TIMEOUT)


def test_a_line_is_written_in_a_moment(recorder: Recorder, idle: Environment, commits: Commits) -> None:
    recorder.start()
    recorder.record(REFUSED)
    commits.wait_for(lambda: len(lines_of(idle.database)) == 1, "the line")
    (line,) = lines_of(idle.database)
    assert (line["user"], line["target"], line["status"], line["times"]) == ("ann", "a job", 409, 1)


def test_what_waits_at_the_end_is_written(recorder: Recorder, idle: Environment) -> None:
    many = recorder_module.LINES_AT_A_TIME + 1
    for _ in range(many):
        recorder.record(REFUSED)
    stranger = Line(now(), Act.ENTER, Outcome.REFUSED, address="10.0.0.1", status=401)
    for _ in range(3):
        recorder.record_stranger(stranger)
    recorder.start()
    recorder.shut_down(TIMEOUT)
    assert len(lines_of(idle.database, action="job.pause")) == many
    assert [line["times"] for line in lines_of(idle.database, action="enter")] == [1, 2]


def test_a_text_of_a_client_is_cut_and_has_no_secret_and_nothing_that_no_database_takes(
    recorder: Recorder, idle: Environment
) -> None:
    key = f"jobsvc_abcdefgh_{'s' * 43}"
    for target in (key, "x" * 1000, "a\0b", "a\ud800b"):
        recorder.record(REFUSED._replace(target=target))
    recorder.start()
    recorder.shut_down(TIMEOUT)
    found = [line["target"] for line in lines_of(idle.database)]
    assert found[0] == "jobsvc_abcdefgh_…"
    assert len(found[1]) == MAX_CHARACTERS + 1
    assert found[2] in ("a\0b", "a\N{REPLACEMENT CHARACTER}b")
    assert found[3] == "a\\ud800b"


@pytest.mark.sqlite_only
def test_lines_wait_for_a_database_without_room_and_the_log_says_so(
    recorder: Recorder, idle: Environment, commits: Commits, caplog: pytest.LogCaptureFixture
) -> None:
    with full(idle.database):
        # More than fits into what SQLite's file has left.
        for _ in range(recorder_module.LINES_AT_A_TIME):
            recorder.record(REFUSED._replace(target="x" * MAX_CHARACTERS))
        with caplog.at_level(logging.WARNING):
            recorder.start()
            commits.wait_for(lambda: "the audit waits for the database" in caplog.text, "the log to tell")
        assert lines_of(idle.database) == []
    commits.wait_for(lambda: len(lines_of(idle.database)) == recorder_module.LINES_AT_A_TIME, "the lines")


def test_lines_that_do_not_fit_into_memory_are_counted_and_told_of(
    recorder: Recorder, idle: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "MAX_WAITING", 5)
    for _ in range(12):
        recorder.record(REFUSED)
    recorder.start()
    recorder.shut_down(TIMEOUT)
    assert [(line["action"], line["times"]) for line in lines_of(idle.database)] == [
        *[("job.pause", 1)] * 5,
        ("audit.lost", 7),
    ]
