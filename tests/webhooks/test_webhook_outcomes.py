"""What a sender of webhooks does with the database: writing down what became of a message, reading what is due."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from sqlalchemy import event, text, update

from jobsvc.clock import now
from jobsvc.store.queries import webhook_rows
from jobsvc.store.tables import webhooks
from jobsvc.webhooks import sender as sender_module
from jobsvc.webhooks.sender import AT_ONCE_EACH, WebhookSender
from tests.support.databases import fresh
from tests.support.outbox import Outbox, opened
from tests.support.receiver import receiving
from tests.support.waiting import TIMEOUT, Commits

KEY = b"key"


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with opened(f"sqlite:///{tmp_path / 'outbox.db'}", KEY) as outbox:
        yield outbox


@pytest.fixture
def shared_outbox() -> Iterator[Outbox]:
    """On PostgreSQL, as in a fleet."""
    with fresh("postgresql") as url, opened(url, KEY) as outbox:
        yield outbox


class Unwritable:
    """Lets no outcome be written down, and counts who tries."""

    def __init__(self, outbox: Outbox, commits: Commits, monkeypatch: pytest.MonkeyPatch) -> None:
        self._outbox, self._commits = outbox, commits
        self.tries: list[int] = []
        with outbox.database.write() as connection:
            connection.execute(
                text("CREATE TRIGGER full BEFORE UPDATE ON webhooks BEGIN SELECT RAISE(ABORT, 'no room'); END")
            )
        monkeypatch.setattr(sender_module, "RETRY_SECONDS", 0.01)
        note = WebhookSender._note

        def counted(sender: WebhookSender, taken: Any, *outcome: Any) -> None:
            self.tries.append(taken.message["id"])
            note(sender, taken, *outcome)

        monkeypatch.setattr(WebhookSender, "_note", counted)

    def wait_tried(self, times: int, message: int = 1) -> None:
        more = self.tries.count(message) + times
        self._commits.wait_for(lambda: self.tries.count(message) >= more, f"an outcome to be tried {times} times more")

    def mend(self) -> None:
        with self._outbox.database.write() as connection:
            connection.execute(text("DROP TRIGGER full"))


@pytest.fixture
def unwritable(outbox: Outbox, commits: Commits, monkeypatch: pytest.MonkeyPatch) -> Unwritable:
    return Unwritable(outbox, commits, monkeypatch)


# Outcomes that can't be written


@pytest.mark.parametrize("statuses", [(), (500,), (410,)], ids=["received", "failed", "gone"])
def test_while_its_outcome_can_not_be_written_a_message_is_not_sent_again(
    outbox: Outbox, commits: Commits, unwritable: Unwritable, statuses: tuple[int, ...]
) -> None:
    with receiving(*statuses) as receiver:
        outbox.put("msg_1", receiver.url)
        sender = outbox.send()
        receiver.wait_for(1)
        unwritable.wait_tried(5)
        sender.wake()
        unwritable.wait_tried(5)
        assert len(receiver.received) == 1
        assert outbox.row("msg_1")["attempts"] == 0
        unwritable.mend()
        row = outbox.wait_settled(commits, "msg_1")
        # What failed is tried again, since its first outcome is known now.
        again = 2 if statuses == (500,) else 1
        assert (row["attempts"], len(receiver.received)) == (again, again)


def test_no_receiver_gets_more_than_has_room_while_nothing_can_be_written(
    outbox: Outbox, commits: Commits, unwritable: Unwritable
) -> None:
    with receiving() as first, receiving() as second:
        for number in range(5):
            outbox.put(f"msg_first_{number}", first.url)
        outbox.put("msg_second", second.url)
        outbox.send()
        first.wait_for(AT_ONCE_EACH)
        second.wait_for(1)
        unwritable.wait_tried(3, message=1)
        unwritable.wait_tried(3, message=6)
        assert [len(first.received), len(second.received)] == [AT_ONCE_EACH, 1]
        unwritable.mend()
        for number in range(5):
            outbox.wait_settled(commits, f"msg_first_{number}")
        outbox.wait_settled(commits, "msg_second")
        assert sorted(one.id for one in first.received) == [f"msg_first_{number}" for number in range(5)]
        assert len(second.received) == 1


def test_a_sender_that_waits_to_write_an_outcome_ends_at_once_and_the_message_stays_due(
    outbox: Outbox, commits: Commits, unwritable: Unwritable
) -> None:
    with receiving() as receiver:
        outbox.put("msg_1", receiver.url)
        sender = outbox.send()
        receiver.wait_for(1)
        unwritable.wait_tried(2)
        before = monotonic()
        sender.shut_down(TIMEOUT)
        assert monotonic() - before < sender_module.JOIN_SECONDS, "it did not stop at once"
        unwritable.mend()
        outbox.send()
        assert outbox.wait_settled(commits, "msg_1")["attempts"] == 1
        assert [one.id for one in receiver.received] == ["msg_1", "msg_1"]


def test_an_outage_is_told_once(outbox: Outbox, unwritable: Unwritable, caplog: pytest.LogCaptureFixture) -> None:
    with receiving() as receiver:
        outbox.put("msg_1", receiver.url)
        outbox.send()
        receiver.wait_for(1)
        unwritable.wait_tried(5)
    assert len([record for record in caplog.records if record.name == sender_module.__name__]) == 1


def test_a_failure_that_is_told_too_late_does_not_undo_what_another_process_has_told(outbox: Outbox) -> None:
    outbox.put("msg_1", "http://example.com/")
    with outbox.database.write() as connection:
        at = now()
        slow = webhook_rows.take(connection, 1, at, at + timedelta(seconds=25))
        assert slow is not None
        quick = webhook_rows.take(connection, 1, at + timedelta(seconds=26), at + timedelta(seconds=51))
        assert quick is not None
        assert not webhook_rows.note_failed(connection, slow, "too late", at)
    assert outbox.row("msg_1")["next_at"] == quick["next_at"]
    with outbox.database.write() as connection:
        webhook_rows.note_delivered(connection, 1, at)
        assert not webhook_rows.note_failed(connection, slow, "too late", at)
    assert (outbox.row("msg_1")["next_at"], outbox.row("msg_1")["last_error"]) == (None, None)


# What is read


class Traffic:
    """Counts the statements of a SQLite database, and the rows that come out of it."""

    def __init__(self, outbox: Outbox) -> None:
        self.statements = self.rows = 0
        for engine in (outbox.database.backend.reading, outbox.database.backend.writing):
            event.listen(engine, "before_cursor_execute", self._count_statement)
            event.listen(engine.pool, "checkout", self._count_rows)

    def _count_statement(self, *_: Any) -> None:
        self.statements += 1

    def _count_rows(self, connection: sqlite3.Connection, *_: Any) -> None:
        def as_it_is(_: sqlite3.Cursor, row: tuple[Any, ...]) -> tuple[Any, ...]:
            self.rows += 1
            return row

        connection.row_factory = as_it_is


def test_of_ten_thousand_messages_that_are_due_those_are_read_that_can_begin(outbox: Outbox, commits: Commits) -> None:
    with receiving() as slow, receiving() as quick:
        slow.answering.clear()
        outbox.put_many(10_000, slow.url)
        for number in range(10):
            outbox.put(f"msg_quick_{number}", quick.url)
        traffic = Traffic(outbox)
        sender = outbox.send()
        quick.wait_for(10)
        # Each is looked for, read, and written; each time a few of the slow one's are met.
        for number in range(10):
            outbox.wait_settled(commits, f"msg_quick_{number}")
        slow.wait_for(AT_ONCE_EACH)
        assert len(slow.received) == AT_ONCE_EACH
        sender.shut_down(TIMEOUT)
        assert traffic.rows < 300
        assert traffic.statements < 400


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com",
        "HTTPS://Example.COM/hook",
        "http://example.com?x=/",
        "http://example.com#x",
        "https://example.com:8443/",
        "http://example.community/",
        "http://example.com.evil.example/",
        "http://[2001:db8::1]:80/a",
    ],
)
def test_the_database_knows_the_receiver_of_a_url_as_python_does(outbox: Outbox, url: str) -> None:
    outbox.put("msg_1", url)
    known = {"example.com", "example.com:8443", "example.community", "example.com.evil.example", "[2001:db8::1]:80"}
    assert webhook_rows.receiver(url) in known
    for whom in known:
        with outbox.database.read() as connection:
            found = webhook_rows.due(connection, now(), 1, but_not_to=[whom])
        assert (found == []) == (whom == webhook_rows.receiver(url)), whom


# Whose clock


def ahead(**much: float) -> Callable[[], datetime]:
    return lambda: now() + timedelta(**much)


@pytest.mark.parametrize("wrong", [ahead(hours=2), ahead(hours=-2)], ids=["ahead", "behind"])
def test_on_postgresql_a_wrong_clock_neither_delays_a_message_nor_makes_it_look_forged(
    shared_outbox: Outbox, commits: Commits, wrong: Callable[[], datetime]
) -> None:
    with receiving(500) as receiver:
        shared_outbox.put("msg_1", receiver.url, now=wrong)
        shared_outbox.send(shared=True, now=wrong)
        shared_outbox.wait_settled(commits, "msg_1")
        for received in receiver.wait_for(2):
            assert abs(int(received.headers["webhook-timestamp"]) - now().timestamp()) < 60


def test_on_postgresql_a_process_whose_clock_is_ahead_leaves_alone_what_another_one_is_sending(
    shared_outbox: Outbox,
) -> None:
    with receiving() as receiver:
        shared_outbox.put("msg_1", receiver.url)
        with shared_outbox.database.write() as connection:
            assert webhook_rows.take(connection, 1, now(), now() + timedelta(minutes=10)) is not None
        shared_outbox.put("msg_2", receiver.url)
        shared_outbox.send(shared=True, now=ahead(hours=2))
        assert [one.id for one in receiver.wait_for(1)] == ["msg_2"]


def test_on_postgresql_a_process_whose_clock_is_behind_takes_over_what_was_left(
    shared_outbox: Outbox, commits: Commits
) -> None:
    with receiving() as receiver:
        shared_outbox.put("msg_1", receiver.url)
        with shared_outbox.database.write() as connection:
            connection.execute(update(webhooks).values(next_at=now() - timedelta(seconds=1)))
        shared_outbox.send(shared=True, now=ahead(hours=-2))
        shared_outbox.wait_settled(commits, "msg_1")
        assert [one.id for one in receiver.received] == ["msg_1"]
