"""Imports point one way: web -> jobs -> (kinds, engines, store)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "jobsvc"

SQL = {"select", "insert", "update", "delete", "text", "func", "create_engine", "Table", "Connection", "Engine"}
"""What a query or a connection can be made with."""


CONTRACT = {"jobsvc.kinds.contract", "jobsvc.kinds.contract.Kind", "jobsvc.kinds.contract.BadUpload"}


DATABASE_ERRORS = (
    "DatabaseBusy",
    "DatabaseClosed",
    "DatabaseDown",
    "Conflict",
    "NotStorable",
    "FilesDown",
    "DiskFull",
    "NoRoom",
)


def imported(path: Path) -> set[str]:
    """Every module, and every name in a module, that a file imports, by full name."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports here are absolute"
            assert node.module is not None
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def within(names: set[str], *modules: str) -> set[str]:
    return {name for name in names for module in modules if name == module or name.startswith(f"{module}.")}


def files_of(*parts: str) -> list[Path]:
    found = [path for part in parts for path in sorted((PACKAGE / part).rglob("*.py"))]
    assert found, parts
    return found


def assert_imports_none(paths: list[Path], *modules: str) -> None:
    found = {str(path.relative_to(PACKAGE)): sorted(within(imported(path), *modules)) for path in paths}
    assert {path: names for path, names in found.items() if names} == {}


def test_nothing_but_the_factory_imports_web() -> None:
    others = [path for path in PACKAGE.rglob("*.py") if path.parent.name != "web" and path != PACKAGE / "__init__.py"]
    assert_imports_none(others, "jobsvc.web")
    assert within(imported(PACKAGE / "__init__.py"), "jobsvc.web")


def test_web_makes_no_queries_and_no_threads() -> None:
    web = files_of("web")
    # Files are where an upload goes; of the database, it is told what is wrong with it, and nothing more.
    may = {"jobsvc.store.files", *(f"jobsvc.store.files.{name}" for name in ("Files", "NewInput", "Readable"))}
    errors = {"jobsvc.store.errors", *(f"jobsvc.store.errors.{name}" for name in DATABASE_ERRORS)}
    for path in web:
        found = within(imported(path), "jobsvc.store") - may
        assert found <= (errors if path.name in ("problems.py", "uploads.py") else set()), path
        # Of the kinds, the contract: what a client may say of a job depends on its kind.
        assert within(imported(path), "jobsvc.kinds") <= CONTRACT, path
    assert_imports_none(web, "jobsvc.engines", "sqlalchemy", "alembic", "sqlite3")
    assert_imports_none(web, "threading.Thread", "concurrent", "multiprocessing", "asyncio")


def test_jobs_know_neither_http_nor_sql() -> None:
    jobs = files_of("jobs")
    assert_imports_none(jobs, "flask", "werkzeug", "jobsvc.web", "jobsvc.store.tables", "sqlite3", "alembic")
    assert_imports_none(jobs, *(f"sqlalchemy.{name}" for name in SQL - {"Connection", "Table"}))


def test_kinds_know_neither_http_nor_threads_nor_jobs() -> None:
    outside = ("jobsvc.jobs", "jobsvc.engines", "jobsvc.web", "jobsvc.store.database", "jobsvc.store.job_rows")
    kinds = files_of("kinds")
    assert_imports_none(kinds, "flask", "werkzeug", "multiprocessing", "asyncio", *outside)
    # The items of one job that are under way at once: the one place where a kind has threads of its own.
    own = {"row_kind.py": {"concurrent"}, "item_threads.py": {"concurrent", "threading"}}
    for path in kinds:
        assert_imports_none([path], *({"concurrent", "threading"} - own.get(path.name, set())))


def test_engines_and_store_know_neither_jobs_nor_kinds_nor_web() -> None:
    assert_imports_none(files_of("engines"), "jobsvc.jobs", "jobsvc.web", "jobsvc.kinds", "jobsvc.store", "flask")
    assert_imports_none(files_of("store"), "jobsvc.jobs", "jobsvc.web", "jobsvc.kinds", "jobsvc.engines", "flask")


def test_only_the_factory_knows_all_of_them() -> None:
    parts = ("jobsvc.web", "jobsvc.jobs", "jobsvc.engines", "jobsvc.store", "jobsvc.kinds")
    knows_all = [path for path in PACKAGE.rglob("*.py") if all(within(imported(path), part) for part in parts)]
    assert knows_all == [PACKAGE / "__init__.py"]


def test_the_http_server_knows_gunicorn_and_nothing_of_what_it_serves() -> None:
    server = [path for path in files_of("process") if within(imported(path), "gunicorn")]
    assert server
    outside = {path.stem for path in PACKAGE.iterdir()} - {"process", "__init__"}
    assert_imports_none(server, "flask", "werkzeug", *(f"jobsvc.{name}" for name in outside))
    others = [path for path in PACKAGE.rglob("*.py") if path.parent.name not in ("process", "web")]
    assert_imports_none(others, "gunicorn")


MAY_CATCH_ALL = {
    "jobs/runner.py": "the top of a run: what goes wrong in a kind fails its job, and nothing else",
    "jobs/rollback.py": "the top of a rollback: an undo that breaks ends its rollback, and nothing else",
    "jobs/hooks.py": "a hook that tells of something that has happened can't undo it",
    "jobs/webhooks/sender.py": "the top of the threads that send: a delivery that breaks is tried again",
    "jobs/checkpoint.py": "a job is terminated, whatever its kind says to that",
    "engines/threads.py": "the top of a thread: its slot is given back whatever happens",
    "engines/crew.py": "the top of a worker: another one begins in its place",
    "kinds/contract.py": "Work.take: what an item raises is kept until the items before it are committed",
    "kinds/row_kind.py": "the same, for items of which some are under way at once",
    "kinds/item_threads.py": "the top of a thread: what an item raises is its future's",
}
"""Where every exception may be caught, and why there."""


CATCHES_ALL = {"Exception", "BaseException"}


def test_nothing_but_the_top_of_a_run_or_a_thread_catches_every_exception() -> None:
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.ExceptHandler)
                and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id in CATCHES_ALL))
                and not isinstance(node.body[-1], ast.Raise)
            ):
                found.add(str(path.relative_to(PACKAGE)))
    assert found == set(MAY_CATCH_ALL)


def test_nobody_sets_the_size_of_stacks() -> None:
    """It is the process's: a thread that somebody else starts at that moment has it too."""
    assert_imports_none(list(PACKAGE.rglob("*.py")), "threading.stack_size")
    assert [path for path in PACKAGE.rglob("*.py") if "stack_size(" in path.read_text()] == []


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import a.b", {"a.b"}),
        ("from a import b, c as d", {"a", "a.b", "a.c"}),
        ("def f():\n    from a.b import c", {"a.b", "a.b.c"}),
    ],
)
def test_imports_are_found_wherever_they_stand(tmp_path: Path, source: str, names: set[str]) -> None:
    path = tmp_path / "one.py"
    path.write_text(source)
    assert imported(path) == names
    assert within({"jobsvc.web", "jobsvc.web.x", "jobsvc.website"}, "jobsvc.web") == {"jobsvc.web", "jobsvc.web.x"}
