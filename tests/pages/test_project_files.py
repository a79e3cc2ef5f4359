"""What a repository is expected to have beside its code: a licence, a changelog, checks before a commit."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.processes import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
CONFIGURATION = ROOT / ".pre-commit-config.yaml"

KINDS_OF_CHANGE = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
"""Those of Keep a Changelog."""


def test_the_licence_is_the_one_that_the_project_names() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert text.startswith(f"{PROJECT['license']} License\n")
    assert PROJECT["license-files"] == ["LICENSE"]
    assert all(author["name"] in text for author in PROJECT["authors"])


def test_the_changelog_is_in_the_form_that_it_names() -> None:
    headings = re.findall(r"^## (.+)$", CHANGELOG, re.MULTILINE)
    assert headings[0] == "Unreleased"
    versions = [re.fullmatch(r"(\d+)\.(\d+)\.(\d+) - \d{4}-\d\d-\d\d", heading) for heading in headings[1:]]
    numbers = [tuple(map(int, version.groups())) for version in versions if version is not None]
    assert len(numbers) == len(versions) > 0, headings
    assert numbers == sorted(set(numbers), reverse=True)
    assert set(re.findall(r"^### (.+)$", CHANGELOG, re.MULTILINE)) <= KINDS_OF_CHANGE


def test_the_newest_version_of_the_changelog_is_the_project_s() -> None:
    assert re.findall(r"^## ([\d.]+) - ", CHANGELOG, re.MULTILINE)[0] == PROJECT["version"]


def hooks() -> list[tuple[str, dict[str, Any]]]:
    configuration = yaml.safe_load(CONFIGURATION.read_text())
    return [(repo["repo"], hook) for repo in configuration["repos"] for hook in repo["hooks"]]


def test_the_checks_before_a_commit_are_those_of_make_lint_and_more() -> None:
    lint = re.search(r"^lint:.*\n((?:\t.+\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert lint is not None
    checked = {line.split()[0].removeprefix("$(BIN)/") for line in lint[1].splitlines()}
    local = {Path(hook["entry"].split()[0]).name for repo, hook in hooks() if repo == "local"}
    assert local == checked
    assert all(hook["entry"].startswith(".venv/bin/") for repo, hook in hooks() if repo == "local")


def test_programs_of_others_that_check_before_a_commit_are_pinned() -> None:
    for repo in yaml.safe_load(CONFIGURATION.read_text())["repos"]:
        assert repo["repo"] == "local" or re.fullmatch(r"v\d+\.\d+\.\d+", repo["rev"]), repo


def test_pre_commit_takes_its_configuration() -> None:
    clientlib = pytest.importorskip("pre_commit.clientlib", reason="pre-commit is not among what the tests need")
    clientlib.load_config(CONFIGURATION)
