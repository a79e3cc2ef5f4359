"""The pages name only what is there: files, folders, modules, headings, and the commands of the Makefile."""

from __future__ import annotations

import re
from pathlib import Path
from pkgutil import resolve_name

import pytest

from tests.support.processes import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

CODE = [*sorted((ROOT / "jobsvc").rglob("*.py")), ROOT / "gunicorn.conf.py", ROOT / "wsgi.py", ROOT / "Makefile"]

SPANS = "".join(
    (ROOT / "jobsvc" / path).read_text()
    for path in (
        "web/request_log.py",
        "runs/hooks.py",
        "runs/checkpoints/order.py",
        "runs/runner.py",
        "traces/sender.py",
    )
)
"""The attributes of spans have dotted names, too."""

page = pytest.mark.parametrize("page", PAGES, ids=[str(path.relative_to(ROOT)) for path in PAGES])


def prose(text: str) -> str:
    """A page without its blocks of code, which show other people's files."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def quoted(text: str) -> list[str]:
    """What stands between backticks."""
    return re.findall(r"`([^`\n]+)`", prose(text))


def headings(path: Path) -> set[str]:
    """The names that links give to the headings of a page."""
    found = re.findall(r"^#+ +(.+)$", prose(path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def bad_links(path: Path) -> list[str]:
    bad = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(path.read_text())):
        if not link.startswith(("http://", "https://")):
            name, _, heading = link.partition("#")
            target = path.parent / name if name else path
            if not target.exists() or (heading and heading not in headings(target)):
                bad.append(link)
    return bad


def missing_files(path: Path) -> list[str]:
    """Files and folders that a page names and that are neither beside it, nor at the top, nor in the package."""
    named = [text for text in quoted(path.read_text()) if re.fullmatch(r"[\w-]+(/[\w.-]+)*(\.py|\.md|/)", text)]
    places = (ROOT, ROOT / "jobsvc", path.parent)
    return [text for text in named if not any((place / text).exists() for place in places)]


def missing_modules(path: Path) -> list[str]:
    named = [text for text in quoted(path.read_text()) if re.fullmatch(r"(jobsvc|tests)(\.\w+)+", text)]
    return [text for text in named if not text.endswith((".db", ".lock")) and not is_there(text)]


def is_there(name: str) -> bool:
    """Whether a dotted name is a module, or something in one, or an attribute of a span."""
    if f'"{name}":' in SPANS:
        return True
    try:
        resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


@page
def test_every_link_leads_somewhere(page: Path) -> None:
    assert bad_links(page) == [], f"{page.relative_to(ROOT)} links to what is not there"


@page
def test_every_file_and_module_that_is_named_is_there(page: Path) -> None:
    assert missing_files(page) + missing_modules(page) == [], f"{page.relative_to(ROOT)} names what is not there"


@page
def test_no_merge_was_left_unfinished(page: Path) -> None:
    assert re.findall(r"^(?:<{7}|>{7}|={7}$).*", page.read_text(), re.MULTILINE) == []


@page
def test_every_make_target_that_is_named_is_in_the_makefile(page: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {found for text in quoted(page.read_text()) for found in re.findall(r"\bmake ([a-z][\w-]*)", text)}
    assert named <= targets


def test_every_page_that_the_code_names_is_there() -> None:
    named = {found for path in CODE for found in re.findall(r"\bdocs/[\w/-]+\.md", path.read_text())}
    assert {name for name in named if not (ROOT / name).exists()} == set()


@pytest.mark.parametrize(
    ("text", "links", "files", "modules"),
    [
        ("[here](CONTRIBUTING.md) and `jobsvc/settings.py`, `runs/runner.py`, `jobsvc.runs.runner`", [], [], []),
        ("[gone](docs/gone.md)", ["docs/gone.md"], [], []),
        ("# A heading, *here*\n[up](#a-heading-here) [down](#another)", ["#another"], [], []),
        ("`jobs/runner.py` and `gone/`", [], ["jobs/runner.py", "gone/"], []),
        ("`jobsvc.runs.runner.Runner`, `jobsvc.runs.gone`", [], [], ["jobsvc.runs.gone"]),
        ("```\n[gone](gone.md)\n```", [], [], []),
    ],
)
def test_what_is_not_there_is_found(
    tmp_path: Path, text: str, links: list[str], files: list[str], modules: list[str]
) -> None:
    (tmp_path / "CONTRIBUTING.md").touch()
    path = tmp_path / "page.md"
    path.write_text(text)
    assert (bad_links(path), missing_files(path), missing_modules(path)) == (links, files, modules)
