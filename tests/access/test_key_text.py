from __future__ import annotations

import re

import pytest

from jobsvc.access import expiry, key_text, users
from jobsvc.access.key_ring import KeyRing
from jobsvc.access.roles import Role

KEY = "k" * 16


def test_a_key_has_a_prefix_for_scanners_an_id_and_a_secret_of_256_bits() -> None:
    made = key_text.make()
    assert re.fullmatch(rf"jobsvc_{made.id}_[A-Za-z0-9_-]{{43}}", made.text)
    assert key_text.id_of(made.text) == made.id


def test_no_two_keys_are_the_same() -> None:
    assert len({key_text.make().text for _ in range(1000)}) == 1000


@pytest.mark.parametrize("text", ["", "jobsvc_", "jobsvc_abcdefgh_short", "other_abcdefgh_" + "s" * 43, "é" * 60])
def test_what_can_be_no_key_has_no_id(text: str) -> None:
    assert key_text.id_of(text) is None


def test_the_keys_of_the_setting_have_a_user_and_a_role_which_is_user_if_not_said() -> None:
    ring = KeyRing.read(f"ann:{KEY}1 , bob:{KEY}2:operator,")
    found = [ring.caller(f"{KEY}{number}") for number in (1, 2, 3)]
    assert [(caller.user, caller.role) if caller else None for caller in found] == [
        ("ann", Role.USER),
        ("bob", Role.OPERATOR),
        None,
    ]


@pytest.mark.parametrize(
    "text",
    [
        "ann",
        "ann:short",
        f":{KEY}",
        f"ann:{KEY}:king",
        f"ann/x:{KEY}",
        f"service:{KEY}",
        f"ann:{KEY} {KEY}",
        f"ann:{KEY},bob:{KEY}",
        f"ann:k={KEY}",
    ],
)
def test_keys_that_cannot_be_meant_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        KeyRing.read(text)


def test_a_key_may_end_as_base64_does() -> None:
    assert KeyRing.read(f"ann:{KEY}==").caller(f"{KEY}==") is not None


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2030-01-31", "2030-01-31T23:59:59+00:00"),
        ("20300131", "2030-01-31T23:59:59+00:00"),
        ("2030-01-31T10:00", "2030-01-31T10:00:00+00:00"),
        ("2030-01-31T10:00:00+02:00", "2030-01-31T08:00:00+00:00"),
    ],
)
def test_a_day_lasts_to_its_end_and_a_moment_may_have_a_zone(text: str, moment: str) -> None:
    assert expiry.read(text).isoformat() == moment


@pytest.mark.parametrize("text", ["", "soon", "2030-02-30", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00+23:00"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a day, YYYY-MM-DD"):
        expiry.read(text)


def test_the_ring_keeps_no_key() -> None:
    assert KEY not in repr(KeyRing.read(f"ann:{KEY}"))


@pytest.mark.parametrize("name", ["", "-ann", "a/b", "a\nb", "ann bob", "x" * 65, "engine", "run", "service", "änn"])
def test_names_that_no_file_or_history_can_have_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="can't be a user's name: it must be"):
        users.check(name)


@pytest.mark.parametrize("name", ["ann", "Jon-Doe", "ann@example.org", "7", "x" * 64])
def test_usual_names_are_taken(name: str) -> None:
    assert users.check(name) == name
