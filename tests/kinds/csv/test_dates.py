"""Why a field has no date, and which option reads it."""

from __future__ import annotations

import pytest

from jobsvc.kinds.csv.dates import TRIES, Dates

NO_ISO = "doesn't begin with a date YYYY-MM-DD"
NO_FORM = "is no date of the form %d/%m/%Y"
OTHERS = "; date_format=%d/%m/%Y and the like read others"


@pytest.mark.parametrize(
    ("form", "text", "why"),
    [
        (None, "31.01.2026", f"{NO_ISO}; date_format=%d.%m.%Y reads it"),
        (None, "01/02/2026", f"{NO_ISO}; date_format=%d/%m/%Y or date_format=%m/%d/%Y reads it"),
        (None, "soon", NO_ISO + OTHERS),
        ("%d/%m/%Y", "12/31/2026", f"{NO_FORM}; date_format=%m/%d/%Y reads it"),
        # With a format that was given, no other one is at hand, and least of all the same.
        ("%d/%m/%Y", "30/02/2026", NO_FORM),
        ("%d/%m/%Y", "soon", NO_FORM),
    ],
)
def test_a_field_without_a_date_gets_a_hint_where_one_helps(form: str | None, text: str, why: str) -> None:
    assert Dates(form).why_none(text) == why


@pytest.mark.parametrize("before", [1, TRIES + 5])
def test_no_option_is_said_to_read_what_it_does_not_read(before: int) -> None:
    dates = Dates(None)
    for _ in range(before):
        assert dates.why_none("31/01/2026") == f"{NO_ISO}; date_format=%d/%m/%Y reads it"
    assert dates.why_none("soon") == NO_ISO + OTHERS
    assert dates.why_none("30/01/2026") == f"{NO_ISO}; date_format=%d/%m/%Y reads it"
