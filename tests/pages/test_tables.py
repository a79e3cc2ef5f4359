"""What the pages list is what there is: settings, routes, options, kinds, states, and the pages themselves."""

from __future__ import annotations

import re

import pytest
from flask import Flask

from jobsvc.jobs.states import MOVES, TRANSITIONS, Action, State
from jobsvc.kinds.builtin.baseline_csv import BaselineParams
from jobsvc.kinds.registry import BUILT_IN
from jobsvc.settings import VARIABLES, Settings
from tests.support.pages import DOCS, README, quoted, section, table

LIFE = DOCS / "life-of-a-job.md"


def test_the_table_of_settings_has_each_with_its_default() -> None:
    shown: dict[str, list[str]] = {}
    for row in table(section(DOCS / "operating.md", "## Settings")):
        names, defaults = quoted(row["name"]), quoted(row["default"])
        # A default in words stands for none: the setting is empty.
        values = defaults if len(defaults) == len(names) and row["default"].startswith("`") else [""] * len(names)
        for name, value in zip(names, values, strict=True):
            shown.setdefault(name, []).append(value)
    by_name = {variable.name: variable for variable in VARIABLES}
    assert sorted(shown) == sorted(by_name)
    in_words = {"DATABASE_URL", "JOBSVC_FILES_URL", "JOBSVC_KINDS", "JOBSVC_WEBHOOK_SECRET"}
    for name, values in shown.items():
        default = getattr(Settings(), by_name[name].field)
        assert len(values) == 1, f"{name} is there {len(values)} times"
        if name in in_words:
            assert not default
        else:
            assert by_name[name].read(values[0]) == default, name


def test_the_table_of_routes_has_every_route_and_no_other(app: Flask) -> None:
    shown: set[str] = set()
    for row in table(section(DOCS / "http.md", "## Routes")):
        whole = ""
        for text in quoted(row["request"]):
            if (found := re.search(r"(?:^| )(/[^ ?]*)", text)) is None:
                continue
            path = found[1]
            # `/resume` after `POST /jobs/<id>/pause` stands for `/jobs/<id>/resume`.
            if " " in text or not whole or path.startswith(("/jobs", "/kinds", "/docs")):
                whole = path
            else:
                path = f"{whole.rpartition('/')[0]}{path}"
            shown.add(path)
    rules = {re.sub(r"<(?:\w+:)?(\w+)>", r"<\1>", rule.rule) for rule in app.url_map.iter_rules()}
    there = {rule.replace("<job_id>", "<id>").replace("<action_id>", "<id>") for rule in rules}
    assert shown == {path for path in there if not path.startswith(("/static", "/docs/"))}


def test_the_table_of_upload_options_has_every_option() -> None:
    names = [name for row in table(section(DOCS / "files.md", "## Options")) for name in quoted(row["option"])]
    assert sorted(names) == sorted([*BaselineParams.model_fields, "callback_url", "priority"])


@pytest.mark.parametrize(
    ("page", "heading"),
    [
        (README, "## The kinds of job"),
        (DOCS / "files.md", "## What the rows become"),
        (DOCS / "files.md", "## Exports"),
    ],
)
def test_no_other_kinds_are_listed_than_are_built_in(page: object, heading: str) -> None:
    named = set(re.findall(r"\*\*(\w+)\*\*", section(page, heading)))  # type: ignore[arg-type]
    assert named
    assert named <= {kind.name for kind in BUILT_IN}
    if page == README:
        assert named == {kind.name for kind in BUILT_IN}


def test_the_diagram_of_states_shows_every_transition_and_no_other() -> None:
    text = section(LIFE, "## States")
    shown = re.findall(r"^ +(\w+) --> (\w+):", text, re.MULTILINE)
    assert sorted(shown) == sorted((before, after) for before, found in TRANSITIONS.items() for after in found)


def test_every_state_is_explained() -> None:
    assert [row["state"] for row in table(section(LIFE, "## States"))] != []
    assert {row["state"] for row in table(section(LIFE, "## States"))} == {f"`{state}`" for state in State}


def test_the_table_of_actions_says_where_each_takes_a_job() -> None:
    columns = {
        "pause": Action.PAUSE,
        "resume": Action.RESUME,
        "terminate": Action.TERMINATE,
        "roll back": Action.ROLL_BACK,
        "terminate, with rollback": Action.TERMINATE_AND_ROLL_BACK,
    }
    assert set(columns.values()) == set(Action)
    rows = {row["from"]: row for row in table(section(LIFE, "## What may be asked of it"))}
    assert set(rows) == {f"`{state}`" for state in State}
    for state in State:
        for column, action in columns.items():
            after = MOVES[action].get(state, "refused")
            expected = f"`{after}`" if isinstance(after, State) else after or "nothing to do"
            assert rows[f"`{state}`"][column] == expected, (state, action)


def test_the_index_names_every_page_once() -> None:
    named = re.findall(r"\]\(docs/([\w-]+\.md)\)", section(README, "## Where to read on"))
    assert sorted(named) == sorted(path.name for path in DOCS.glob("*.md"))


def test_the_readme_can_be_read_in_ten_minutes() -> None:
    assert len(README.read_text().splitlines()) <= 150
