"""What every process of the service has, whether it answers requests, runs jobs or does both."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from typing import Protocol

from jobsvc.clock import now
from jobsvc.files.belonging import settle_if_it_answers
from jobsvc.files.open_files import open_files
from jobsvc.kinds.contract import Kind
from jobsvc.kinds.own_tables import make_tables
from jobsvc.kinds.registry import load_kinds, taking_files
from jobsvc.logs.setup import hide
from jobsvc.service.core import Core
from jobsvc.settings import EngineName, Settings
from jobsvc.store.database import Database
from jobsvc.store.disk.open_room import open_room
from jobsvc.store.migrate import prepare
from jobsvc.store.postgresql.backend import IDLE_SECONDS
from jobsvc.webhooks.sender import WebhookSender
from jobsvc.webhooks.signature import load_key

ROLLBACKS_AT_ONCE = 2


class Part(Protocol):
    """Something with threads of its own."""

    def start(self) -> None: ...
    def begin_shut_down(self) -> None:
        """Returns at once."""

    def shut_down(self, seconds: float) -> object:
        """Begin to shut down, and wait up to that long for its threads to end."""


def build_core(settings: Settings, extra_kinds: Iterable[Kind] = (), session: str | None = None) -> Core:
    """`session` names the connections. Raises SettingError, KindError, SchemaBehind and DatabaseDown."""
    room = open_room(settings)
    # Opening SQLite's file takes some.
    room.before_urgent()
    database = Database(settings.url, session, max(IDLE_SECONDS, settings.stalled_after), room)
    prepare(database)
    files = open_files(settings)
    kinds = load_kinds(settings.kinds, extra_kinds)
    settle_if_it_answers(database, files, taking_files(kinds))
    with database.write() as connection:
        # Two processes that make the same table at once would stand in each other's way.
        database.backend.lock_for_migrations(connection)
        make_tables(connection, kinds.values())
    return Core.on(database, files, kinds, now, settings, room)


def webhook_sender(core: Core, settings: Settings) -> WebhookSender:
    """The sender of webhooks, for a process that runs jobs. Raises SettingError."""
    key = load_key(settings.webhook_secret, settings.data_dir)
    # It may have been made just now.
    hide(b64encode(key).decode())
    sender = WebhookSender(
        core.database,
        key,
        now,
        allow_private=settings.webhook_allow_private,
        shared=settings.engine is EngineName.FLEET,
    )
    core.notifier.listen(sender.wake)
    return sender
