"""The fields of a form, made from the JSON schema of a kind's parameters."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from enum import IntEnum
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from jobsvc.jobs.errors import InvalidParameter
from jobsvc.kinds import CsvParams, KindParams
from jobsvc.kinds.builtin.baseline_csv import BaselineParams
from jobsvc.kinds.csv.encodings import NAMES
from jobsvc.web.dashboard.new_job import fields
from jobsvc.web.dashboard.new_job.fields import fields_of
from tests.support.own_form import BadgesParams, ReportParams


def made(params: type[KindParams], given: Mapping[str, str] | None = None) -> dict[str, fields.Field]:
    schema = params.model_json_schema(by_alias=True)
    return {one.name: one for one in fields_of(schema, given or {}, params.reading, params.may_be_empty)}


def values(field: fields.Field) -> list[str]:
    return [choice.value for choice in field.choices]


def test_each_type_has_its_control() -> None:
    controls = {name: field.control for name, field in made(BadgesParams).items()}
    assert {name: controls[name] for name in controls if name not in CsvParams.model_fields} == {
        "event": "text",
        "size": "select",
        "copies": "number",
        "scale": "number",
        "with_photo": "checkbox",
        "printed": "select",
        "valid_until": "date",
        "colours": "json",
        "box": "json",
    }
    assert made(ReportParams)["at"].control == "datetime-local"


def test_labels_are_titles_or_made_from_names_and_descriptions_become_sentences() -> None:
    found = made(BadgesParams)
    assert (found["event"].label, found["with_photo"].label) == ("Name of the event", "With photo")
    assert found["event"].help == "What stands on each badge. At least 3 characters, at most 20 characters."
    assert found["colours"].help == 'In this order. As JSON, a list: ["a", "b"].'


def test_defaults_stand_in_the_fields_and_what_has_none_is_required() -> None:
    found = made(BadgesParams)
    assert (found["copies"].value, found["size"].value, found["printed"].value) == ("1", "small", "true")
    assert [name for name, field in found.items() if field.required] == ["event"]
    assert made(ReportParams)["note"].value == "<b>none</b> \N{HEBREW LETTER SHIN}"


def test_numbers_have_their_limits() -> None:
    found = made(BadgesParams)
    assert found["copies"].attributes == {"min": "1", "max": "5", "step": "1", "inputmode": "numeric"}
    # No browser knows a limit that is not itself allowed, but for whole numbers.
    assert found["scale"].attributes == {"step": "any", "inputmode": "decimal"}

    class Between(KindParams):
        count: int = Field(gt=0, lt=10)

    assert {"min": "1", "max": "9"}.items() <= made(Between)["count"].attributes.items()


def test_a_box_stands_for_no_where_it_is_not_ticked_and_so_only_for_what_is_no_by_default() -> None:
    class Flags(KindParams):
        off: bool = False
        on: bool = True
        neither: bool | None = None
        must: bool

    found = made(Flags)
    assert {name: field.control for name, field in found.items()} == {
        "off": "checkbox",
        "on": "select",
        "neither": "select",
        "must": "select",
    }
    assert values(found["on"]) == ["true", "false"]
    assert values(found["neither"]) == ["", "true", "false"]
    assert found["must"].choices[0] == ("", "Choose…")


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Nested(BaseModel):
    more: Nested | None = None


class Odd(KindParams):
    level: Level = Level.LOW
    depth: Literal[1, 2, "all"] | None = None
    number_or_text: int | str = "x"
    two_numbers: int | float = 1
    list_or_object: list[int] | dict[str, int] | None = None
    nested: Nested | None = None
    anything: Any = None
    pair: tuple[int, int] = (1, 2)
    only: Literal["this"] = "this"


def test_references_unions_and_what_refers_to_itself_have_a_control_too() -> None:
    found = made(Odd)
    assert {name: field.control for name, field in found.items()} == {
        "level": "select",
        "depth": "select",
        "number_or_text": "text",
        "two_numbers": "number",
        "list_or_object": "json",
        "nested": "json",
        "anything": "text",
        "pair": "json",
        "only": "select",
    }
    assert values(found["level"]) == ["1", "2"]
    assert values(found["depth"]) == ["", "1", "2", "all"]
    assert found["pair"].value == "[1, 2]"


def test_what_the_address_gives_stands_in_the_fields() -> None:
    given = {"event": "Fair", "size": "large", "with_photo": "true", "valid_until": "2026-12-31", "delimiter": "^"}
    found = made(BadgesParams, given)
    assert {name: found[name].value for name in given} == given
    assert all(found[name].is_given for name in given)
    assert not found["copies"].is_given
    # Also where it is none of those that are offered.
    assert "^" in values(found["delimiter"])


@pytest.mark.parametrize(
    ("name", "given"), [("copies", "many"), ("valid_until", "31/12/2026"), ("with_photo", "perhaps")]
)
def test_what_no_field_could_show_is_refused_by_name(name: str, given: str) -> None:
    with pytest.raises(InvalidParameter) as found:
        made(BadgesParams, {name: given})
    assert found.value.name == name


def test_how_a_file_is_read_is_told_in_words() -> None:
    found = made(BaselineParams)
    assert {"auto", "comma", "semicolon", "tab", "pipe"} == set(values(found["delimiter"]))
    assert found["delimiter"].takes_others
    labels = {choice.value: choice.label for choice in found["date_format"].choices}
    assert labels["%d/%m/%Y"] == date(2026, 12, 31).strftime("%d/%m/%Y")
    assert set(values(found["encoding"])) == set(NAMES)
    assert found["encoding"].choices[0] == ("utf-8", "UTF-8")


def test_an_empty_text_that_says_something_is_a_choice_of_its_own() -> None:
    found = made(BaselineParams)
    assert found["date_column"].none == "None: all records get the day of upload"
    assert not found["date_column"].says_none
    assert made(BaselineParams, {"date_column": ""})["date_column"].says_none
    assert found["date_format"].none is None


def test_a_parameter_of_the_same_name_that_means_something_else_keeps_its_own_words() -> None:
    class Videos(KindParams):
        encoding: str = Field("h264", description="of the video", examples=["h264", "av1"])

    field = made(Videos)["encoding"]
    assert (field.label, field.control, field.suggestions) == ("Encoding", "text", ("h264", "av1"))
