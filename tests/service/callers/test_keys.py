from __future__ import annotations

from datetime import timedelta
from threading import Event

import pytest
from sqlalchemy import select

from jobsvc.access.errors import Unauthorized
from jobsvc.access.key_ring import KeyRing
from jobsvc.access.roles import Role
from jobsvc.clock import now
from jobsvc.jobs.errors import InvalidParameter
from jobsvc.service.callers import keys as keys_module
from jobsvc.service.callers.key_use import KeyUse
from jobsvc.service.callers.keys import Keys, NewApiKey, UnknownKey
from jobsvc.store.database import Database
from jobsvc.store.tables import api_keys
from tests.support.environment import Environment
from tests.support.waiting import TIMEOUT

pytestmark = pytest.mark.both_databases

ANN = NewApiKey("ann", Role.USER)


@pytest.fixture
def database(idle: Environment) -> Database:
    return idle.database


@pytest.fixture
def used() -> list[str]:
    return []


@pytest.fixture
def keys(database: Database, used: list[str]) -> Keys:
    return Keys(database, KeyRing(), now, used.append)


def test_a_key_lets_its_user_in_and_is_noted(keys: Keys, used: list[str]) -> None:
    made = keys.create(NewApiKey("ann", Role.OPERATOR, ["bulkTeam"]), by="bob")
    caller = keys.caller(made.text)
    assert (caller.user, caller.role, caller.kinds) == ("ann", Role.OPERATOR, frozenset({"bulkTeam"}))
    assert caller.key_id == made.key.id
    assert used == [made.key.id]


def test_of_a_key_only_a_digest_is_stored(keys: Keys, database: Database) -> None:
    made = keys.create(ANN, by="bob")
    with database.read() as connection:
        stored = str(connection.execute(select(api_keys)).all())
    secret = made.text.split("_", 2)[2]
    assert secret not in stored
    assert made.text not in stored


def test_another_secret_with_the_same_id_lets_nobody_in(keys: Keys, used: list[str]) -> None:
    made = keys.create(ANN, by="bob")
    other = keys.create(ANN, by="bob")
    mixed = made.text[: len("jobsvc_12345678_")] + other.text[len("jobsvc_12345678_") :]
    with pytest.raises(Unauthorized, match="that is no key of this service"):
        keys.caller(mixed)
    assert used == []


@pytest.mark.parametrize("shown", ["", "x", "jobsvc_abcdefgh_" + "s" * 43, "jobsvc_\x00"])
def test_what_is_no_key_lets_nobody_in(keys: Keys, shown: str) -> None:
    keys.create(ANN, by="bob")
    with pytest.raises(Unauthorized, match="that is no key of this service"):
        keys.caller(shown)


def test_a_revoked_key_lets_nobody_in_from_the_next_request_on(keys: Keys) -> None:
    made = keys.create(ANN, by="bob")
    keys.revoke(made.key.id, by="bob")
    with pytest.raises(Unauthorized, match=f"the key {made.key.id} was revoked at "):
        keys.caller(made.text)
    first = keys.revoke(made.key.id, by="bob")
    assert first.revoked_at == keys.revoke(made.key.id, by="bob").revoked_at


def test_a_key_that_is_not_there_cannot_be_revoked(keys: Keys) -> None:
    with pytest.raises(UnknownKey, match="'nothing'"):
        keys.revoke("nothing", by="bob")


def test_an_expired_key_lets_nobody_in(idle: Environment, used: list[str]) -> None:
    at = now()
    moment = [at]
    keys = Keys(idle.database, KeyRing(), lambda: moment[0], used.append)
    made = keys.create(NewApiKey("ann", Role.USER, None, at + timedelta(hours=1)), by="bob")
    assert keys.caller(made.text).user == "ann"
    if idle.database.backend.engine.dialect.name == "sqlite":
        moment[0] = at + timedelta(hours=1)
    else:
        # There, the clock is the server's.
        with idle.database.write() as connection:
            connection.execute(api_keys.update().values(expires_at=at - timedelta(seconds=1)))
    with pytest.raises(Unauthorized, match=f"the key {made.key.id} has expired at "):
        keys.caller(made.text)


def test_a_key_cannot_expire_before_it_is_made(keys: Keys) -> None:
    with pytest.raises(InvalidParameter, match="is over already"):
        keys.create(NewApiKey("ann", Role.USER, None, now() - timedelta(days=1)), by="bob")
    assert keys.every() == []


def test_without_any_key_everybody_may_do_everything(keys: Keys) -> None:
    caller = keys.caller(None)
    assert (caller.user, caller.role) == ("Jon-Doe", Role.ADMIN)


def test_without_any_key_one_that_is_shown_is_refused_all_the_same(keys: Keys) -> None:
    with pytest.raises(Unauthorized, match="that is no key of this service"):
        keys.caller("a-key-of-another-service")


def test_with_the_first_key_nobody_gets_in_without(
    keys: Keys, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys_module, "NONE_MADE_SECONDS", 0.0)
    assert not keys.are_needed()
    # Another process makes it.
    made = Keys(database, KeyRing(), now, lambda _: None).create(ANN, by="bob")
    with pytest.raises(Unauthorized, match="a key is needed"):
        keys.caller(None)
    keys.revoke(made.key.id, by="bob")
    # As after a restart: a revoked key counts too, and nobody is let in since the last key was revoked.
    assert Keys(database, KeyRing(), now, lambda _: None).are_needed()


def test_who_makes_the_first_key_closes_the_door_at_once(keys: Keys) -> None:
    assert not keys.are_needed()
    keys.create(ANN, by="bob")
    with pytest.raises(Unauthorized, match="a key is needed"):
        keys.caller(None)


def test_that_there_are_keys_is_believed_for_ever(keys: Keys, database: Database) -> None:
    keys.create(ANN, by="bob")
    keys_needed = [keys.are_needed()]
    with database.write() as connection:
        connection.execute(api_keys.delete())
    assert [*keys_needed, keys.are_needed()] == [True, True]


def test_when_a_key_was_used_last_is_written_on_a_thread(keys: Keys, database: Database) -> None:
    made = keys.create(ANN, by="bob")
    written = Event()

    class Told(KeyUse):
        def _write(self) -> None:
            super()._write()
            written.set()

    use = Told(database, now)
    use.start()
    use.note(made.key.id)
    assert written.wait(TIMEOUT)
    use.shut_down(TIMEOUT)
    (key,) = keys.every()
    assert key.last_used_at is not None
    assert key.last_used_at >= key.created_at - timedelta(minutes=1)


def test_what_was_used_before_the_end_is_written_at_the_end(keys: Keys, database: Database) -> None:
    made = keys.create(ANN, by="bob")
    use = KeyUse(database, now)
    use.note(made.key.id)
    use.start()
    use.shut_down(TIMEOUT)
    assert keys.every()[0].last_used_at is not None


def test_listing_tells_all_but_secrets(keys: Keys) -> None:
    first = keys.create(NewApiKey("ann", Role.VIEWER), by="bob")
    second = keys.create(NewApiKey("ann", Role.ADMIN, ["b", "a", "b"]), by="bob")
    assert {(key.id, key.role, key.kinds) for key in keys.every()} == {
        (first.key.id, Role.VIEWER, None),
        (second.key.id, Role.ADMIN, ("a", "b")),
    }
