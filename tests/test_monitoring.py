"""The page on monitoring, the dashboard and the alert rules name what /metrics really tells."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from flask import Flask

from jobsvc.jobs.states import State
from jobsvc.version import VERSION
from tests.support.processes import ROOT
from tests.support.requests import upload
from tests.support.scraped import Scraped
from tests.support.waiting import wait_for

PAGE = ROOT / "docs" / "monitoring.md"
RULES = ROOT / "docs" / "monitoring" / "rules.yml"
DASHBOARD = ROOT / "docs" / "monitoring" / "dashboard.json"

IN_A_FLEET = {"jobsvc_workers"}
"""What one process does not tell; that a fleet does is tested with one."""

OF_PROMETHEUS = {"up"}


@pytest.fixture
def real(make_app: Callable[..., Flask]) -> Scraped:
    """What is told by a service that has done something of everything."""
    app = make_app()
    client = app.test_client()
    wait_for(app.extensions["jobsvc"], upload(client), State.SUCCEEDED)
    client.get("/healthz")
    return Scraped(client.get("/metrics").text)


def documented() -> dict[str, tuple[str, set[str]]]:
    """The type and the labels of each metric of the page."""
    rows = re.findall(r"^\| `(jobsvc_\w+)` \| (\w+) \| ([^|]*)\|", PAGE.read_text(), re.MULTILINE)
    assert len(rows) > 20
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def test_the_page_has_every_metric_with_its_type_and_labels_and_no_other(real: Scraped) -> None:
    told = {}
    for family, kind in real.families.items():
        if family.startswith("jobsvc_"):
            name = f"{family}_total" if kind == "counter" else family
            sample = f"{family}_count" if kind == "histogram" else name
            labels = {label for each in real.labels(sample) for label in each}
            told[name] = (kind, labels)
    found = documented()
    assert {name: about for name, about in found.items() if name not in IN_A_FLEET} == told
    assert set(found) >= IN_A_FLEET


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return found


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    for panel in dashboard()["panels"]:
        yield from (target["expr"] for target in panel.get("targets", []))
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            yield re.sub(r"label_values\((\w+), \w+\)", r"\1", variable["query"]["query"])


SELECTOR = re.compile(r"\b([a-zA-Z_]\w*)(?:\{([^}]*)\}|(?=\[))|\b(jobsvc_\w+)")


@pytest.mark.in_one_app
@pytest.mark.parametrize("expression", list(expressions()))
def test_expressions_name_metrics_and_labels_that_there_are(real: Scraped, expression: str) -> None:
    used = [(name or alone, labels) for name, labels, alone in SELECTOR.findall(expression)]
    assert used, expression
    for name, labels in used:
        assert name in real.names() | IN_A_FLEET | OF_PROMETHEUS, name
        known = {label for each in real.labels(name) for label in each} | {"job", "instance"}
        assert set(re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"', labels)) <= known, expression
    for opened, closed in ("()", "{}", "[]"):
        assert expression.count(opened) == expression.count(closed), expression


def test_states_that_expressions_name_are_states() -> None:
    of_jobs = [found for text in expressions() for found in re.findall(r'jobsvc_jobs\{[^}]*state[=!~]+"([^"]+)"', text)]
    assert of_jobs
    assert {name for found in of_jobs for name in found.split("|")} <= set(State)


def test_every_metric_is_on_the_dashboard() -> None:
    text = DASHBOARD.read_text()
    missing = {name for name in documented() if name not in text}
    assert missing == set()


def test_rules_are_whole_and_the_page_says_what_to_do_for_each() -> None:
    for rule in rules():
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}, rule
        assert re.fullmatch(r"Jobsvc\w+", rule["alert"])
        assert re.fullmatch(r"\d+[smhd]", rule.get("for", "1m"))
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert rule["annotations"]["summary"]
    names = [rule["alert"] for rule in rules()]
    assert re.findall(r"^\| `(Jobsvc\w+)` \|", PAGE.read_text(), re.MULTILINE) == names


def test_panels_have_places_of_their_own() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_finds_nothing_wrong_with_the_rules() -> None:
    done = subprocess.run(["promtool", "check", "rules", str(RULES)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_version_that_is_told_is_that_of_the_package() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION
