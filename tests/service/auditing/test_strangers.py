from __future__ import annotations

from jobsvc.access.acts import Act, Outcome
from jobsvc.access.audit_line import Line
from jobsvc.clock import now
from jobsvc.service.auditing.strangers import MAX_DIFFERENT, MINUTE_SECONDS, Strangers

STRANGER = Line(now(), Act.ENTER, Outcome.REFUSED, address="10.0.0.1", status=401, problem="no-good-key")


def test_the_first_has_a_line_at_once_and_those_alike_one_together_when_the_minute_is_over() -> None:
    strangers = Strangers()
    assert strangers.note(STRANGER, 0.0) == [STRANGER]
    for _ in range(1000):
        assert strangers.note(STRANGER, 1.0) == []
    assert strangers.due(MINUTE_SECONDS - 0.1) == []
    assert strangers.due(MINUTE_SECONDS) == [STRANGER._replace(times=1000)]
    assert strangers.left(MINUTE_SECONDS) is None


def test_a_lone_one_has_one_line() -> None:
    strangers = Strangers()
    strangers.note(STRANGER, 0.0)
    assert strangers.due(MINUTE_SECONDS) == []


def test_a_new_minute_begins_with_a_line_again() -> None:
    strangers = Strangers()
    strangers.note(STRANGER, 0.0)
    strangers.note(STRANGER, 1.0)
    assert strangers.note(STRANGER, MINUTE_SECONDS + 1) == [STRANGER, STRANGER]
    assert strangers.left(MINUTE_SECONDS + 1) == MINUTE_SECONDS


def test_other_addresses_keys_and_problems_have_lines_of_their_own() -> None:
    strangers = Strangers()
    others = [
        STRANGER._replace(address="10.0.0.2"),
        STRANGER._replace(key_id="abcdefgh"),
        STRANGER._replace(status=403, problem="local-only"),
    ]
    for line in (STRANGER, *others):
        assert strangers.note(line, 0.0) == [line]


def test_however_many_come_from_wherever_a_minute_has_a_bounded_number_of_lines() -> None:
    strangers = Strangers()
    written = [
        line for number in range(100_000) for line in strangers.note(STRANGER._replace(address=f"{number % 5000}"), 0.0)
    ]
    written += strangers.due(MINUTE_SECONDS)
    assert len(written) == 2 * MAX_DIFFERENT + 1
    assert sum(line.times for line in written) == 100_000, "every one is counted"
    assert written[-1].address is None


def test_what_was_counted_is_told_at_the_end() -> None:
    strangers = Strangers()
    strangers.note(STRANGER, 0.0)
    strangers.note(STRANGER, 1.0)
    assert strangers.end() == [STRANGER]
    assert strangers.end() == []
