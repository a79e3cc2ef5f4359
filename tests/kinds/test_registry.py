from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ConfigDict

from jobsvc.kinds import CsvParams, Kind, KindParams, RowKind
from jobsvc.kinds.registry import KindError, load_kinds

MODULE = """
from jobsvc.kinds import Kind, RowKind

class Good(RowKind):
    name = "good"
    def process(self, row, item): pass

class Other(Good):
    name = "other"

class SameName(Good):
    pass

class Abstract(RowKind):
    name = "abstract"

class NoName(Good):
    name = None

class NeedsArguments(Good):
    name = "needs"
    def __init__(self, url): pass

not_a_class = Good()
"""


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`somekinds` can be imported."""
    (tmp_path / "somekinds.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "somekinds", raising=False)
    return tmp_path


def announce(directory: Path, *lines: str) -> None:
    """Make `directory` hold an installed package with these entry points."""
    info = directory / "somekinds-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: somekinds\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("\n".join(["[jobsvc.kinds]", *lines]) + "\n")


def error(*named: str, extra: Any = ()) -> str:
    with pytest.raises(KindError) as raised:
        load_kinds(named, extra)
    return str(raised.value)


def test_the_built_in_kinds_are_there():
    assert list(load_kinds(())) == ["baselineCSV", "bulkTeam", "createExport"]


def test_a_kind_that_is_named_is_there():
    kinds = load_kinds(["somekinds:Good", "somekinds:Other"])
    assert type(kinds["good"]).__name__ == "Good"
    assert "other" in kinds


def test_a_kind_that_an_installed_package_announces_is_there(package: Path):
    announce(package, "good = somekinds:Good")
    assert "good" in load_kinds(())


def test_a_kind_may_be_announced_and_named(package: Path):
    announce(package, "good = somekinds:Good")
    assert "good" in load_kinds(["somekinds:Good"])


def test_an_announced_kind_that_cant_be_imported_is_named_in_the_error(package: Path):
    announce(package, "bad = somekinds:Missing")
    assert error().startswith("entry point bad: 'somekinds:Missing' can't be imported")


@pytest.mark.parametrize("path", ["no_such_package:Kind", "somekinds:Missing", "not a path", "", "somekinds.Missing:X"])
def test_what_cant_be_imported_is_named_in_the_error(path: str):
    assert error(path).startswith(f"JOBSVC_KINDS: {path!r} can't be imported, it must be package.module:Class")


@pytest.mark.parametrize("name", ["Abstract", "not_a_class"])
def test_what_is_no_whole_class_of_kind_is_refused(name: str):
    assert "is not a class of kind that has all it needs" in error(f"somekinds:{name}")


def test_a_class_that_needs_arguments_is_refused():
    assert "must be a class that needs no arguments" in error("somekinds:NeedsArguments")


def test_two_kinds_of_one_name_are_refused():
    text = error("somekinds:Good", "somekinds:SameName")
    assert "JOBSVC_KINDS somekinds:SameName: there is a kind called 'good' already" in text
    assert "somekinds.Good" in text


def test_a_kind_cant_take_a_built_in_name():
    class Mine(RowKind):
        name = "bulkTeam"

        def process(self, row: Any, item: Any) -> None: ...

    assert "there is a kind called 'bulkTeam' already" in error(extra=[Mine()])


@pytest.mark.parametrize("bad", ["", "two words", "a-b", "1st", "naïve", "a/b", None, 5])
def test_a_name_that_can_be_no_part_of_an_id_is_refused(bad: Any):
    class Mine(RowKind):
        name = bad

        def process(self, row: Any, item: Any) -> None: ...

    assert "its `name` must be letters, digits and underscores" in error(extra=[Mine()])


def test_a_kind_without_a_name_is_refused():
    assert "its `name` must be" in error("somekinds:NoName")


class Plain(RowKind):
    name = "plain"

    def process(self, row: Any, item: Any) -> None: ...


@pytest.mark.parametrize(
    ("attributes", "problem"),
    [
        ({"Params": KindParams}, "subclass of CsvParams"),
        ({"Params": dict}, "subclass of KindParams"),
        ({"takes_file": False}, "must override `source`"),
        ({"concurrency": 0}, "at least 1"),
        ({"rate": 0.0}, "above 0"),
    ],
)
def test_what_could_not_run_is_refused_at_the_start(attributes: dict[str, Any], problem: str):
    kind: Kind = type("Changed", (Plain,), attributes)()
    assert problem in error(extra=[kind])


def test_a_kind_without_a_file_has_no_options_for_one():
    class Sourced(Plain):
        takes_file = False

    assert Plain.Params is CsvParams
    assert Sourced.Params is KindParams


def test_parameters_that_can_not_be_shown_to_clients_are_refused_at_the_start():
    class Odd:
        pass

    class Hidden(CsvParams):
        model_config = ConfigDict(arbitrary_types_allowed=True)

        odd: Odd | None = None

    class Mine(Plain):
        name = "mine"
        Params = Hidden

    assert "its `Params` have no JSON schema, from which clients learn them: " in error(extra=[Mine()])
