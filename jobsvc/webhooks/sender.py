"""Sending the messages of the outbox: each at least once, and again until it is received or given up."""

from __future__ import annotations

import logging
import random
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from http import HTTPStatus
from http.client import HTTPException
from threading import Condition, Thread
from time import monotonic
from typing import TypeVar

from sqlalchemy import Connection, RowMapping
from sqlalchemy.exc import SQLAlchemyError

from jobsvc.store import clock
from jobsvc.store.database import Database
from jobsvc.store.errors import DatabaseClosed, unexplained
from jobsvc.store.queries import webhook_rows
from jobsvc.webhooks import signature
from jobsvc.webhooks.address import AddressRefused
from jobsvc.webhooks.post import Post

log = logging.getLogger(__name__)

T = TypeVar("T")

AT_ONCE = 8
"""Messages on their way at the same time."""

AT_ONCE_EACH = 2
"""Of these, to the same receiver: a slow one leaves room for the others."""

SECONDS_EACH = 20.0
"""The time for one attempt in all, however the receiver spreads its answer."""

MAX_ATTEMPTS = 12

FIRST_DELAY_SECONDS = 6.0
MAX_DELAY_SECONDS = 3600.0

RETRY_SECONDS = 1.0
"""The pause after the database did not answer, or no thread could be started."""

ASIDE_SECONDS = 0.05
"""How long after a change to look: whoever has made it is answered first, and most changes have no message."""

LEASE_SECONDS = 5.0
"""How much longer than its attempt a message is kept from other processes that send."""

LOOK_SECONDS = 5.0
"""The polling interval of each of several processes that send: nothing else tells one what another has put off."""

JOIN_SECONDS = 1.0
"""How long the end of the process waits at most for attempts to be broken off."""


def backoff(attempts: int) -> timedelta:
    """How long to wait after that many attempts: about 5 s, then twice as long each time, up to an hour.

    A quarter of it is left to chance, so that what failed together isn't tried again together.
    """
    longest = min(MAX_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** (attempts - 1))
    return timedelta(seconds=longest * random.uniform(0.75, 1.0))


@dataclass(frozen=True)
class _Taken:
    """A message as it was when its attempt began, and when that was by the clock that all senders share."""

    message: RowMapping
    at: datetime


@dataclass
class _Sending:
    receiver: str
    deadline: float
    """On the monotonic clock, in seconds."""
    post: Post = field(default_factory=Post)
    thread: Thread | None = None


class WebhookSender:
    """Sends what is due, a few at a time.

    One dispatcher thread looks for what is due and starts a thread for each
    attempt. `_changed` guards everything below it; it is never held during I/O.
    The row of a message changes only after its attempt: a process that dies in
    between leaves it due. Where several processes send (`shared`), one that takes a
    message puts off when it is due for them, and it is due again if that one dies.
    A message whose outcome can't be written down keeps its place among those on
    their way until it can, so that nobody gets one again and again; it is due again
    after a restart, or if another process of several can write meanwhile.
    """

    def __init__(
        self,
        database: Database,
        key: bytes,
        now: Callable[[], datetime],
        *,
        allow_private: bool = False,
        backoff: Callable[[int], timedelta] = backoff,
        tls: ssl.SSLContext | None = None,
        seconds_each: float = SECONDS_EACH,
        shared: bool = False,
    ) -> None:
        self._database = database
        self._key = key
        self._now = now
        self._allow_private = allow_private
        self._backoff = backoff
        self._given_tls = tls
        self._seconds_each = seconds_each
        self._shared = shared
        self._changed = Condition()
        self._wanted = True
        self._aside = False
        """Whether somebody has just changed something, who is to go first."""
        self._closing = False
        self._sending: dict[int, _Sending] = {}
        self._dispatcher = Thread(target=self._dispatch, name="jobsvc-webhooks", daemon=True)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return self._given_tls or ssl.create_default_context()

    def start(self) -> None:
        self._dispatcher.start()

    def wake(self) -> None:
        """There may be new messages. Returns at once."""
        with self._changed:
            self._wanted = self._aside = True
            self._changed.notify_all()

    def begin_shut_down(self) -> None:
        """Send nothing further, and give up what is on its way: it stays due. Returns at once."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            posts = [sending.post for sending in self._sending.values()]
        for post in posts:
            post.abort()

    def shut_down(self, seconds: float) -> None:
        """Begin to shut down, and wait up to `seconds` for the threads to end.

        A thread that waits for the resolver can't be ended. It is not waited for much
        longer than the others need: what it would send stays due.
        """
        deadline = monotonic() + min(seconds, JOIN_SECONDS)
        self.begin_shut_down()
        with self._changed:
            threads = [self._dispatcher, *(sending.thread for sending in self._sending.values())]
        for thread in threads:
            if thread is not None and thread.ident is not None:
                thread.join(max(0.0, deadline - monotonic()))

    def _dispatch(self) -> None:
        due_in: float | None = None
        told = False
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or self._wanted, self._longest_wait(due_in))
                if self._changed.wait_for(lambda: self._closing, ASIDE_SECONDS if self._aside else 0.0):
                    return
                self._aside = False
                # Before the look, so that what comes during it isn't missed.
                self._wanted = False
                # Before the look too: what was delivered since then can't be seen as due in it.
                sending = dict(self._sending)
            self._abort_late(sending)
            try:
                due_in = self._send_due(sending)
                told = False
            except (SQLAlchemyError, RuntimeError) as error:
                if not told:
                    what = "the webhooks that are due could not be sent, trying again every %s s: %s"
                    log.error(what, RETRY_SECONDS, error, exc_info=unexplained(error))
                told = True
                due_in = RETRY_SECONDS

    def _longest_wait(self, due_in: float | None) -> float | None:
        """Seconds until there is something to do; None: until somebody wakes. The caller holds `_changed`."""
        waits = [] if due_in is None else [due_in]
        if self._shared:
            # What another process has put off, or left when it died.
            waits.append(LOOK_SECONDS)
        now = monotonic()
        waits += [max(0.0, sending.deadline - now) for sending in self._sending.values() if sending.deadline > now]
        return min(waits, default=None)

    def _abort_late(self, sending: dict[int, _Sending]) -> None:
        for late in sending.values():
            if late.deadline <= monotonic():
                late.post.abort()

    def _send_due(self, sending: dict[int, _Sending]) -> float | None:
        """Start attempts for what is due, as far as there is room. Returns the seconds until more is due, if known."""
        with self._database.read() as connection:
            now = clock.read(connection, self._now)
            chosen, is_all = self._choose(connection, now, sending)
            following = webhook_rows.next_after(connection, now) if is_all else None
        for key, receiver in chosen.items():
            self._start(key, receiver)
        # Otherwise the end of an attempt wakes the dispatcher.
        return None if following is None else (following - now).total_seconds()

    def _choose(
        self, connection: Connection, now: datetime, sending: dict[int, _Sending]
    ) -> tuple[dict[int, str], bool]:
        """What to begin now, and whether that is all of what is due that finds room with its receiver.

        As many messages are read as there is room for. Where the longest due are more
        than their receivers may have, the next ones are read, of other receivers: in
        all no more than AT_ONCE times AT_ONCE, however many are due.
        """
        busy = Counter(one.receiver for one in sending.values())
        chosen: dict[int, str] = {}
        while (room := AT_ONCE - len(sending) - len(chosen)) > 0:
            full = [receiver for receiver, count in busy.items() if count >= AT_ONCE_EACH]
            found = webhook_rows.due(connection, now, room, but_not=[*sending, *chosen], but_not_to=full)
            already = len(chosen)
            for row in found:
                receiver = webhook_rows.receiver(row["url"])
                if busy[receiver] < AT_ONCE_EACH:
                    busy[receiver] += 1
                    chosen[row["id"]] = receiver
            if len(found) < room or len(chosen) == already:
                return chosen, True
        return chosen, False

    def _start(self, key: int, receiver: str) -> None:
        """Raises RuntimeError if no thread can be started."""
        one = _Sending(receiver, monotonic() + self._seconds_each)
        one.thread = Thread(target=self._send, args=(key, one.post), name=f"jobsvc-webhook-{key}", daemon=True)
        with self._changed:
            if self._closing:
                return
            one.thread.start()
            self._sending[key] = one

    def _send(self, key: int, post: Post) -> None:
        """The life of an attempt's thread. It keeps its place until the outcome is written down."""
        try:
            taken = self._insist(key, lambda: self._take(key))
            if taken is None:
                return
            error, final = self._attempt(taken, post)
            with self._changed:
                if self._closing and error is not None:
                    return
            # This again and again, and not the message: its receiver may have it already.
            self._insist(key, lambda: self._note(taken, error, final))
        finally:
            with self._changed:
                self._sending.pop(key, None)
                self._wanted = True
                self._changed.notify_all()

    def _insist(self, key: int, step: Callable[[], T]) -> T | None:
        """Call `step`, which writes, until the database takes it. Returns None if the service ends before."""
        told = False
        while True:
            try:
                result = step()
            except DatabaseClosed:
                return None
            except SQLAlchemyError as error:
                if not told:
                    what = "webhook %d waits: the database does not take what became of it: %s"
                    log.error(what, key, error, exc_info=unexplained(error))
                told = True
            else:
                return result
            with self._changed:
                if self._changed.wait_for(lambda: self._closing, RETRY_SECONDS):
                    return None

    def _take(self, key: int) -> _Taken | None:
        """A message that this process is to send now; None if nobody is to, or another one does."""
        if not self._shared:
            with self._database.read() as connection:
                now = clock.read(connection, self._now)
                message = webhook_rows.one_scheduled(connection, key)
        else:
            with self._database.write() as connection:
                now = clock.read(connection, self._now)
                until = now + timedelta(seconds=self._seconds_each + LEASE_SECONDS)
                message = webhook_rows.take(connection, key, now, until)
        return None if message is None else _Taken(message, now)

    def _attempt(self, taken: _Taken, post: Post) -> tuple[str | None, bool]:
        """Send a message. Returns what went wrong, if anything did, and whether trying again is of no use."""
        message = taken.message
        body = message["body"].encode()
        headers = {
            "content-type": "application/json",
            "user-agent": "jobsvc-webhooks",
            **signature.headers(self._key, message["message_id"], int(taken.at.timestamp()), body),
        }
        try:
            status = post.send(message["url"], body, headers, self._tls, allow_private=self._allow_private)
        except AddressRefused as error:
            return f"Refused: {error}", False
        except (OSError, HTTPException, ValueError) as error:
            return f"{type(error).__name__}: {error}", False
        except Exception as error:
            log.exception("a webhook could not be sent", extra={"webhook": message["message_id"]})
            return f"{type(error).__name__}: {error}", False
        if 200 <= status < 300:
            return None, False
        if 300 <= status < 400:
            return f"answered {status}: redirects are not followed", False
        return f"answered {status}", status == HTTPStatus.GONE

    def _note(self, taken: _Taken, error: str | None, final: bool) -> None:
        message = taken.message
        attempts = message["attempts"] + 1
        given_up = final or attempts >= MAX_ATTEMPTS
        with self._database.write() as connection:
            now = clock.read(connection, self._now)
            if error is None:
                webhook_rows.note_delivered(connection, message["id"], now)
                return
            next_at = None if given_up else now + self._backoff(attempts)
            noted = webhook_rows.note_failed(connection, message, error, next_at)
        what = ("given up" if given_up else "will be tried again") if noted else "another process has it"
        fields = {"webhook": message["message_id"], "job_key": message["job_key"]}
        log.warning("a webhook was not delivered at attempt %d: %s; %s", attempts, error, what, extra=fields)
