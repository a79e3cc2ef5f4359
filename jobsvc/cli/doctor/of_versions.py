"""Versions: of Python, of SQLite, and of the packages against those that are pinned."""

from __future__ import annotations

import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from jobsvc.cli.doctor.finding import Finding, good, note, wrong
from jobsvc.service.monitoring.versions import versions as own_versions

LEAST_PYTHON = (3, 11)

PINNED = Path(__file__).parents[3] / "requirements.txt"

SUBJECT = "versions"


def versions(pinned: Path = PINNED) -> list[Finding]:
    here = own_versions()
    python = f"jobsvc {here['jobsvc']}, Python {here['python']}, SQLite {here['sqlite']}, {here['platform']}"
    if sys.version_info < LEAST_PYTHON:
        least = ".".join(map(str, LEAST_PYTHON))
        return [wrong(SUBJECT, python, f"the service needs Python {least} or newer")]
    return [good(SUBJECT, python), _packages(pinned)]


def _packages(pinned: Path) -> Finding:
    try:
        text = pinned.read_text()
    except OSError:
        return note(SUBJECT, f"{pinned.name} is not here, so what is installed can't be compared with it")
    other = []
    wanted = re.findall(r"^([\w.-]+)(?:\[\w+\])?==(\S+)", text, re.MULTILINE)
    for name, right in wanted:
        try:
            found = version(name)
        except PackageNotFoundError:
            found = "missing"
        if found != right:
            other.append(f"{name} {found} instead of {right}")
    if other:
        return wrong(SUBJECT, ", ".join(other), "make install")
    return good(SUBJECT, f"{len(wanted)} packages, all in the versions of {pinned.name}")
