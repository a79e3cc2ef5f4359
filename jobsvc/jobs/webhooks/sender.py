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
from urllib.parse import urlsplit

from sqlalchemy import RowMapping
from sqlalchemy.exc import SQLAlchemyError

from jobsvc.jobs.webhooks import signature
from jobsvc.jobs.webhooks.address import Refused
from jobsvc.jobs.webhooks.post import Post
from jobsvc.store import webhook_rows
from jobsvc.store.database import Database
from jobsvc.store.errors import DatabaseClosed, unexplained

log = logging.getLogger(__name__)

AT_ONCE = 8
"""Messages on their way at the same time."""

AT_ONCE_EACH = 2
"""Of these, to the same receiver: a slow one leaves room for the others."""

SECONDS_EACH = 20.0
"""The time for one attempt in all, however the receiver spreads its answer."""

MAX_ATTEMPTS = 12

FIRST_DELAY_SECONDS = 6.0
LONGEST_DELAY_SECONDS = 3600.0

RETRY_SECONDS = 1.0
"""Pause after the database could not be asked, or no thread could be started."""


LEASE_SECONDS = 5.0
"""How much longer than its attempt a message is kept from other processes that send."""

LOOK_SECONDS = 5.0
"""How often one of several processes looks for what is due without being woken."""

JOIN_SECONDS = 1.0
"""How long the end of the process waits at most for attempts to be broken off."""


def backoff(attempts: int) -> timedelta:
    """How long to wait after that many attempts: about 5 s, then twice as long each time, up to an hour.

    A quarter of it is left to chance, so that what failed together isn't tried again together.
    """
    longest = min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** (attempts - 1))
    return timedelta(seconds=longest * random.uniform(0.75, 1.0))


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
            self._wanted = True
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
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or self._wanted, self._patience(due_in))
                if self._closing:
                    return
                # Before the look, so that what comes during it isn't missed.
                self._wanted = False
                # Before the look too: what was delivered since then can't be seen as due in it.
                sending = dict(self._sending)
            self._abort_late(sending)
            try:
                due_in = self._send_due(sending)
            except (SQLAlchemyError, RuntimeError) as error:
                what = "the webhooks that are due could not be sent, trying again in %s s: %s"
                log.error(what, RETRY_SECONDS, error, exc_info=unexplained(error))
                due_in = RETRY_SECONDS

    def _patience(self, due_in: float | None) -> float | None:
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
        busy = Counter(one.receiver for one in sending.values())
        chosen: dict[int, str] = {}
        due_in: float | None = None
        now = self._now()
        with self._database.read() as connection:
            for row in webhook_rows.scheduled(connection):
                if len(sending) + len(chosen) >= AT_ONCE:
                    # The end of one of them wakes the dispatcher.
                    break
                if row["next_at"] > now:
                    due_in = (row["next_at"] - now).total_seconds()
                    break
                receiver = _receiver(row["url"])
                if row["id"] not in sending and busy[receiver] < AT_ONCE_EACH:
                    busy[receiver] += 1
                    chosen[row["id"]] = receiver
        for key, receiver in chosen.items():
            self._start(key, receiver)
        return due_in

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
        """The life of an attempt's thread."""
        try:
            while not self._try(key, post):
                # What an attempt came to could not be written down: keep its place, and do both again later.
                with self._changed:
                    if self._changed.wait_for(lambda: self._closing, RETRY_SECONDS):
                        return
        finally:
            with self._changed:
                self._sending.pop(key, None)
                self._wanted = True
                self._changed.notify_all()

    def _try(self, key: int, post: Post) -> bool:
        """Make one attempt and note how it went. Returns False if the database doesn't answer."""
        try:
            message = self._taken(key)
            if message is None:
                return True
            error, final = self._attempt(message, post)
            with self._changed:
                if self._closing and error is not None:
                    return True
            self._note(message, error, final)
        except DatabaseClosed:
            return True
        except SQLAlchemyError as error:
            log.error("webhook %d: the database does not answer: %s", key, error, exc_info=unexplained(error))
            return False
        return True

    def _taken(self, key: int) -> RowMapping | None:
        """A message that this process is to send now; None if nobody is to, or another one does."""
        if not self._shared:
            with self._database.read() as connection:
                return webhook_rows.one_scheduled(connection, key)
        now = self._now()
        with self._database.write() as connection:
            return webhook_rows.take(connection, key, now, now + timedelta(seconds=self._seconds_each + LEASE_SECONDS))

    def _attempt(self, message: RowMapping, post: Post) -> tuple[str | None, bool]:
        """Send a message. Returns what went wrong, if anything did, and whether trying again is of no use."""
        body = message["body"].encode()
        headers = {
            "content-type": "application/json",
            "user-agent": "jobsvc-webhooks",
            **signature.headers(self._key, message["message_id"], int(self._now().timestamp()), body),
        }
        try:
            status = post.send(message["url"], body, headers, self._tls, allow_private=self._allow_private)
        except (Refused, OSError, HTTPException, ValueError) as error:
            return f"{type(error).__name__}: {error}", False
        except Exception as error:
            log.exception("webhook %s could not be sent", message["message_id"])
            return f"{type(error).__name__}: {error}", False
        if 200 <= status < 300:
            return None, False
        if 300 <= status < 400:
            return f"answered {status}: redirects are not followed", False
        return f"answered {status}", status == HTTPStatus.GONE

    def _note(self, message: RowMapping, error: str | None, final: bool) -> None:
        attempts = message["attempts"] + 1
        now = self._now()
        given_up = final or attempts >= MAX_ATTEMPTS
        with self._database.write() as connection:
            if error is None:
                webhook_rows.note_delivered(connection, message["id"], now)
            else:
                next_at = None if given_up else now + self._backoff(attempts)
                webhook_rows.note_failed(connection, message["id"], error, next_at)
        if error is not None:
            what = "given up" if given_up else "will be tried again"
            log.warning("webhook %s, attempt %d: %s; %s", message["message_id"], attempts, error, what)


def _receiver(url: str) -> str:
    """Whose patience a message needs: the URL without its path."""
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return url
