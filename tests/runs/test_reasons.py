"""Which reasons of refused rows are alike, and how they are counted."""

from __future__ import annotations

import pytest

from jobsvc.kinds import Reason, Refused
from jobsvc.runs.commonest import MOST_SORTS, OTHER, SAMPLES, Sort, Tally, counted, sort_of


@pytest.mark.parametrize(
    ("reason", "sort"),
    [
        ("amount is 'x', which is no number", "amount is …, which is no number"),
        ("amount is 'it\\'s \"x\"', which is no number", "amount is …, which is no number"),
        ('amount is "it\'s", which is no number', "amount is …, which is no number"),
        ("it doesn't fit: 'a' isn't known", "it doesn't fit: … isn't known"),
        ("7 fields where the header has 12", "… fields where the header has …"),
        ("-3.50 is less than 0", "… is less than …"),
        ("on 2026-01-31, at 10:05", "on …, at …"),
        ("byte 0xe9", "byte …"),
        ("order A123 is unknown", "order A… is unknown"),
        ("no", "no"),
        ("", ""),
    ],
)
def test_reasons_are_alike_without_values_in_quotes_and_numbers(reason: str, sort: str) -> None:
    assert sort_of(reason) == Sort(sort)


def test_a_reason_says_itself_which_ones_are_alike() -> None:
    assert sort_of(Refused("red is no colour 7", group="no colour 7", column="c 7").reason) == Sort(
        "no colour 7", "c 7"
    )
    assert sort_of(Refused("'red' is no colour", column="c").reason) == Sort("… is no colour", "c")


def test_a_reason_is_a_text_like_any_other() -> None:
    reason = Refused("no", group="never").reason
    assert (reason, reason[:1], isinstance(reason, Reason), type(reason[:1])) == ("no", "n", True, str)
    assert str(Refused()) == Refused().reason == ""


def test_they_are_counted_with_the_first_of_each_as_samples() -> None:
    first = counted([], [(1, "a"), (2, "b 1"), (4, "b 2")])
    assert first == [Tally(1, Sort("a"), 1, (1,)), Tally(2, Sort("b …"), 2, (2, 4))]
    assert counted(first, [(7, "b 3"), (8, "c")]) == [Tally(2, Sort("b …"), 3, (2, 4, 7)), Tally(3, Sort("c"), 1, (8,))]
    many = counted([], [(item, "a") for item in range(1, 50)])
    assert many == [Tally(1, Sort("a"), 49, tuple(range(1, SAMPLES + 1)))]


def test_a_reason_that_says_what_stands_for_all_others_takes_nobodys_place() -> None:
    said = counted([], [(1, OTHER.reason), (2, "no")])
    assert {tally.place: (tally.sort.reason, tally.count) for tally in said} == {0: (OTHER.reason, 1), 1: ("no", 1)}
    assert counted(said, [(3, "yes")]) == [Tally(2, Sort("yes"), 1, (3,))]


def test_beyond_so_many_sorts_all_others_are_one() -> None:
    letters = [Reason("x", group=f"sort {number}") for number in range(MOST_SORTS + 20)]
    tallies = {tally.place: tally for tally in counted([], enumerate(letters, 1))}
    assert len(tallies) == MOST_SORTS + 1
    assert tallies[0] == Tally(0, OTHER, 20, tuple(range(MOST_SORTS + 1, MOST_SORTS + 1 + SAMPLES)))
    again = counted(tallies.values(), [(500, letters[0]), (501, letters[-1]), (502, "new")])
    assert again == [
        Tally(1, Sort("sort 0"), 2, (1, 500)),
        Tally(0, OTHER, 22, tuple(range(MOST_SORTS + 1, MOST_SORTS + 1 + SAMPLES))),
    ]


def test_what_a_database_would_give_back_as_something_else_is_made_so_before() -> None:
    sort = sort_of(Reason("x", group="nul \0, half \ud800", column="c\0"))
    assert sort == Sort("nul \N{REPLACEMENT CHARACTER}, half \\ud800", "c\N{REPLACEMENT CHARACTER}")
    assert sort_of(Reason("x", group="y" * 1000)) == Sort("y" * 200)
