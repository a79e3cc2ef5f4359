"""A database with messages, and senders for it, without the rest of the service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert, select

from jobsvc.clock import now
from jobsvc.store.database import Database
from jobsvc.store.migrate import upgrade
from jobsvc.store.queries import webhook_rows
from jobsvc.store.tables import jobs, webhooks
from jobsvc.webhooks.sender import WebhookSender
from tests.support.waiting import TIMEOUT, Commits

AT_ONCE = lambda attempts: timedelta(0)  # noqa: E731


class Outbox:
    """`put` and `send` see the machine's clock, unless told otherwise."""

    def __init__(self, url: str, key: bytes) -> None:
        self.database = Database(url)
        self._key = key
        self.senders: list[WebhookSender] = []
        upgrade(self.database)
        job = {"id": "a-job", "kind": "gated", "user": "Ann", "state": "succeeded", "params": {}}
        with self.database.write() as connection:
            made = connection.execute(insert(jobs).values(**job, created_at=now(), queued_at=now()))
            self.job_key: int = made.inserted_primary_key[0]  # type: ignore[index]

    def put(self, message_id: str, url: str, now: Callable[[], datetime] = now) -> None:
        with self.database.write() as connection:
            webhook_rows.add(connection, self.job_key, message_id=message_id, url=url, body="{}", at=now())

    def put_many(self, count: int, url: str) -> None:
        at = now()
        common = {"job_key": self.job_key, "url": url, "body": "{}", "created_at": at, "next_at": at}
        with self.database.write() as connection:
            connection.execute(insert(webhooks), [{"message_id": f"msg_many_{n}", **common} for n in range(count)])

    def send(self, **more: Any) -> WebhookSender:
        arguments: dict[str, Any] = {"allow_private": True, "backoff": AT_ONCE, **more}
        sender = WebhookSender(self.database, self._key, arguments.pop("now", now), **arguments)
        self.senders.append(sender)
        sender.start()
        return sender

    def row(self, message_id: str) -> Any:
        with self.database.read() as connection:
            return connection.execute(select(webhooks).where(webhooks.c.message_id == message_id)).mappings().one()

    def wait_settled(self, commits: Commits, message_id: str) -> Any:
        """Wait until a message is delivered or given up."""
        commits.wait_for(lambda: self.row(message_id)["next_at"] is None, f"{message_id} to be settled")
        return self.row(message_id)

    def wait_attempted(self, commits: Commits, message_id: str) -> Any:
        commits.wait_for(lambda: self.row(message_id)["attempts"] > 0, f"an attempt at {message_id}")
        return self.row(message_id)


@contextmanager
def opened(url: str, key: bytes) -> Iterator[Outbox]:
    outbox = Outbox(url, key)
    yield outbox
    for sender in outbox.senders:
        sender.shut_down(TIMEOUT)
    outbox.database.close()
