from __future__ import annotations

import pytest

from jobsvc.web.browsers import attempts as attempts_module
from jobsvc.web.browsers.attempts import ALLOWED, SECONDS, Attempts


class Clock:
    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def attempts(clock: Clock) -> Attempts:
    return Attempts(clock)


def try_wrong(attempts: Attempts, address: str, times: int = ALLOWED) -> None:
    for _ in range(times):
        assert attempts.wait(address) == 0
        attempts.note_wrong(address)


def test_after_some_wrong_keys_an_address_waits_until_the_time_is_over(attempts: Attempts, clock: Clock) -> None:
    try_wrong(attempts, "192.0.2.1")
    assert attempts.wait("192.0.2.1") == SECONDS
    assert attempts.wait("192.0.2.2") == 0
    clock.seconds += SECONDS - 0.5
    assert attempts.wait("192.0.2.1") == 1
    clock.seconds += 0.5
    try_wrong(attempts, "192.0.2.1")
    assert attempts.wait("192.0.2.1") == SECONDS


def test_wrong_keys_of_long_ago_do_not_count(attempts: Attempts, clock: Clock) -> None:
    for _ in range(5):
        try_wrong(attempts, "192.0.2.1", ALLOWED - 1)
        clock.seconds += SECONDS
    assert attempts.wait("192.0.2.1") == 0


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("", "", True),
    ],
)
def test_a_network_of_ipv6_is_one_address(attempts: Attempts, first: str, second: str, same: bool) -> None:
    try_wrong(attempts, first)
    assert (attempts.wait(second) > 0) == same


def test_only_the_latest_addresses_are_remembered(attempts: Attempts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts_module, "ADDRESSES", 3)
    for number in range(4):
        try_wrong(attempts, f"192.0.2.{number}")
    assert [attempts.wait(f"192.0.2.{number}") > 0 for number in range(4)] == [False, True, True, True]
