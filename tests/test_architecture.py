"""The package keeps its shape: imports point down, and in no circle; a rule has one home."""

from __future__ import annotations

import ast
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "jobsvc"

SQL = {"select", "insert", "update", "delete", "text", "func", "create_engine", "Table", "Connection", "Engine"}
"""What a query or a connection can be made with."""


CONTRACT = {"jobsvc.kinds.contract", "jobsvc.kinds.contract.Kind", "jobsvc.kinds.contract.BadUpload"}


KIND_NAMES = {"baselineCSV", "bulkTeam", "createExport"}

NAMES_KINDS = {"kinds/builtin", "web/routes/original.py"}
"""Where a built-in kind may be called by its name: where it stands, and in the original's routes, which are for it."""

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
    assert {path: names for path, names in found.items() if names} == {}, "these files may not import that"


FLOORS = (
    "__main__",
    "cli",
    "process",
    "testing",
    "web",
    "service",
    "runs",
    "webhooks",
    "jobs",
    "engines",
    "kinds",
    "files",
    "store",
    "metrics",
    "traces",
    "logs",
    "deadlines",
    "settings",
    "access",
    "identifiers",
    "clock",
    "version",
)
"""The rooms, from the top down. A room knows those below it, and none above."""

MAX_FILES = 15
"""So many files stand in a folder at most."""


@cache
def modules() -> dict[str, Path]:
    """The files of the package by their modules' names."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if "migrations" not in path.parts:
            parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def room(module: str) -> str:
    return module.split(".")[1]


def arrows() -> dict[str, set[str]]:
    """Which modules of the package each of them imports."""
    known = modules()
    found = {}
    for module, path in known.items():
        names = within(imported(path), "jobsvc")
        found[module] = {known_part(name, known) for name in names} - {module, "jobsvc"}
    return found


def known_part(name: str, known: dict[str, Path]) -> str:
    while name not in known:
        name = name.rpartition(".")[0]
    return name


def test_a_room_imports_from_those_below_it_alone() -> None:
    rooms = {room(module) for module in modules() if module != "jobsvc"}
    assert rooms - set(FLOORS) == set(), "a new room needs a floor: give it a place in FLOORS"
    up = [
        f"{module} imports {other}"
        for module, others in arrows().items()
        for other in others
        if module != "jobsvc" and room(module) != room(other) and FLOORS.index(room(module)) > FLOORS.index(room(other))
    ]
    assert up == [], (
        "a room imports from the rooms below it alone, in the order of FLOORS: "
        "move what both need down, or let the room above pass it in"
    )


def test_no_imports_go_round_in_a_circle() -> None:
    # A package's own file is not its modules' user: it is imported before them.
    graph = {module: {other for other in others if not is_package(other)} for module, others in arrows().items()}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        if module in path:
            circle = " imports ".join([*path[path.index(module) :], module])
            pytest.fail(f"a circle of imports: {circle}; move what both need into a module of its own")
        if module not in done:
            for other in sorted(graph[module]):
                visit(other, (*path, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def is_package(module: str) -> bool:
    return modules()[module].name == "__init__.py"


def test_no_folder_has_more_files_than_can_be_taken_in_at_a_glance() -> None:
    count = Counter(path.parent for path in modules().values() if path.name != "__init__.py")
    crowded = {str(folder.relative_to(PACKAGE.parent)): files for folder, files in count.items() if files > MAX_FILES}
    assert crowded == {}, f"more than {MAX_FILES} files: those with one subject make a folder of their own"


OF_TESTS_ALONE = {"pages", "browser", "support", "support/programs", "process/programs", "process/fleet"}
"""The documentation, pages in a browser, what tests share, programs that they start, whole fleets of processes."""


def test_tests_stand_where_the_code_stands() -> None:
    tests = Path(__file__).parent
    folders = {str(path.parent.relative_to(tests)) for path in tests.rglob("*.py") if path.parent != tests}
    assert [name for name in sorted(folders - OF_TESTS_ALONE) if not (PACKAGE / name).is_dir()] == []


def test_web_makes_no_queries_and_no_threads() -> None:
    web = files_of("web")
    # Files are where an upload goes; of the database, it is told what is wrong with it, and nothing more.
    may = {"jobsvc.files.contract", *(f"jobsvc.files.contract.{name}" for name in ("Files", "NewInput", "Readable"))}
    errors = {"jobsvc.store.errors", *(f"jobsvc.store.errors.{name}" for name in DATABASE_ERRORS)}
    for path in web:
        found = within(imported(path), "jobsvc.store", "jobsvc.files") - may
        assert found <= (errors if path.name in ("problems.py", "receive.py", "stored.py") else set()), path
        # Of the kinds, the contract: what a client may say of a job depends on its kind.
        assert within(imported(path), "jobsvc.kinds") <= CONTRACT, path
    assert_imports_none(web, "jobsvc.engines", "jobsvc.runs", "sqlalchemy", "alembic", "sqlite3")
    assert_imports_none(web, "threading.Thread", "concurrent", "multiprocessing", "asyncio")


def test_jobs_know_neither_http_nor_sql() -> None:
    jobs = files_of("jobs", "runs", "service", "webhooks")
    assert_imports_none(jobs, "flask", "werkzeug", "jobsvc.store.tables", "sqlite3", "alembic")
    assert_imports_none(jobs, *(f"sqlalchemy.{name}" for name in SQL - {"Connection", "Table"}))


def test_kinds_know_neither_http_nor_threads_nor_the_database_itself() -> None:
    kinds = files_of("kinds")
    outside = ("jobsvc.store.database", "jobsvc.store.queries.job_rows")
    assert_imports_none(kinds, "flask", "werkzeug", "multiprocessing", "asyncio", *outside)
    # The items of one job that are under way at once: the one place where a kind has threads of its own.
    own = {"item_work.py": {"concurrent"}, "item_threads.py": {"concurrent", "threading"}}
    for path in kinds:
        assert_imports_none([path], *({"concurrent", "threading"} - own.get(path.name, set())))


KNOWS_MORE_OF_KINDS = {
    "process/parts.py": ("kinds.registry", "kinds.own_tables"),  # finds the kinds there are, and makes their tables
    "cli/context.py": ("kinds.registry",),  # whose jobs should have files
    "cli/fleet.py": ("kinds.registry.KindError", "kinds.registry"),  # says why there is no service
    "cli/doctor/of_settings.py": ("kinds.registry.KindError", "kinds.registry"),  # says which kinds can't be used
    "cli/keys.py": ("kinds.registry",),  # says which kinds there are that a key may start
    "runs/runner.py": ("kinds.csv.format",),  # the longest row, where no setting says otherwise
    "service/checking/report.py": ("kinds.csv.left_over",),  # shows refused rows as people read them
    "service/left_over.py": ("kinds.csv.left_over",),  # how rows are given back by a kind that does not say
    "service/previews.py": ("kinds.preview",),  # asks how a job would read a file that is no job's yet
    "testing/checking.py": ("kinds.registry", "kinds.own_tables"),  # does with one kind what the process does with all
    "testing/probed.py": ("kinds.cutting",),  # makes checkpoints where faults are to come
}
"""The files that know more of kinds than their contract, and why."""


def test_other_rooms_know_of_kinds_their_contract() -> None:
    for path in sorted(PACKAGE.rglob("*.py")):
        where = path.relative_to(PACKAGE).as_posix()
        if not where.startswith("kinds/"):
            known = within(imported(path), "jobsvc.kinds")
            may = ("kinds.contract", *KNOWS_MORE_OF_KINDS.get(where, ()))
            more = known - within(known, *(f"jobsvc.{module}" for module in may)) - {"jobsvc.kinds"}
            assert not more, f"{where} imports {sorted(more)}: take it from kinds/contract.py, or say above why not"


def test_what_belongs_to_a_kind_is_known_to_the_kind_alone() -> None:
    for path in sorted(PACKAGE.rglob("*.py")):
        where = path.relative_to(PACKAGE).as_posix()
        tree = ast.parse(path.read_text())
        if not where.startswith(tuple(NAMES_KINDS)):
            assert not KIND_NAMES & constants(tree), f"{where} asks which kind it is: give the contract a hook for it"
        if not where.startswith("kinds/"):
            found = kept_by_kinds(tree)
            assert found == [], f"{where} reads what a kind has put there: let the contract say it for every kind"


KEPT_BY_KINDS = {"cursor", "params", "start"}
"""A job's cursor and parameters, and where the rows of its file start: what is in them, its kind alone knows."""


def constants(tree: ast.AST) -> set[object]:
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}


def kept_by_kinds(tree: ast.AST) -> list[str]:
    """Where a key that is written out is looked up in what kinds keep."""
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Subscript(value=kept, slice=ast.Constant(value=str())):
                pass
            case ast.Call(func=ast.Attribute(value=kept, attr="get"), args=[ast.Constant(value=str()), *_]):
                pass
            case _:
                continue
        if ast.unparse(kept).rpartition(".")[2] in KEPT_BY_KINDS:
            found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("job.params.get('max_failed')", ["job.params.get('max_failed')"]),
        ("x = place.cursor['offset']", ["place.cursor['offset']"]),
        ("cursor.get('line', 1)", ["cursor.get('line', 1)"]),
        ("read_header(file).start['extra']", ["read_header(file).start['extra']"]),
        ("cursor.get(kind.line_key); request.args['job']; connection.cursor(); mark['offset']", []),
    ],
)
def test_looks_into_what_kinds_keep_are_found(source: str, found: list[str]) -> None:
    assert kept_by_kinds(ast.parse(source)) == found


def test_engines_know_nothing_of_what_they_run() -> None:
    assert_imports_none(files_of("engines"), "jobsvc.kinds", "jobsvc.files", "jobsvc.store", "flask")
    assert_imports_none(files_of("store", "files"), "flask")


def test_only_the_process_puts_all_of_them_together() -> None:
    parts = ("jobsvc.web", "jobsvc.service", "jobsvc.store.database")
    knows_all = {path.parent for path in PACKAGE.rglob("*.py") if all(within(imported(path), part) for part in parts)}
    assert knows_all <= {PACKAGE / "process"}


def test_the_http_server_knows_gunicorn_and_nothing_of_what_it_serves() -> None:
    server = files_of("process/http")
    outside = {path.stem for path in PACKAGE.iterdir()} - {"process", "__init__"}
    assert_imports_none(server, "flask", "werkzeug", *(f"jobsvc.{name}" for name in outside))
    of_requests = {PACKAGE / "web" / "problems.py", PACKAGE / "web" / "uploads" / "receive.py"}
    others = set(PACKAGE.rglob("*.py")) - {*server, *of_requests}
    assert_imports_none(sorted(others), "gunicorn")


TOGETHER = (ast.Dict, ast.Set, ast.List, ast.Tuple, ast.MatchOr, ast.BoolOp, ast.BinOp)


def states_together(source: str) -> bool:
    """Whether a file spells out a group of states, or what follows on what."""
    return any(isinstance(node, TOGETHER) and len(states_within(node)) > 1 for node in ast.walk(ast.parse(source)))


def states_within(node: ast.AST) -> set[str]:
    """The states that are named in a literal or a choice itself; not in what is called, or made, within it."""
    within = set()
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Attribute) and isinstance(child.value, ast.Name) and child.value.id == "State":
            within.add(child.attr)
        elif isinstance(child, (*TOGETHER, ast.Compare, ast.MatchValue, ast.Starred)):
            within |= states_within(child)
    return within


def test_what_follows_from_a_state_stands_beside_the_table_of_transitions() -> None:
    found = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if states_together(path.read_text())}
    assert found == {"jobs/states.py"}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("A = (State.PAUSING, State.TERMINATING)", True),
        ("A = {State.PAUSING: State.PAUSED}", True),
        ("A = {State.RUNNING: 1, **B, State.PAUSED: 2}", True),
        ("x = state is State.PAUSED or state is State.FAILED", True),
        ("match x:\n    case State.PAUSED | State.FAILED:\n        pass", True),
        ("A = {State.QUEUED, *LEFT_BEHIND}", False),
        ("x = state is State.PAUSED or state is not State.PAUSED", False),
        ("f(State.PAUSING, State.PAUSED)", False),
        ("A = (f(State.PAUSING), f(State.PAUSED))", False),
    ],
)
def test_states_are_found_together_in_whatever_way_they_are(source: str, found: bool) -> None:
    assert states_together(source) is found


MAY_CATCH_ALL = {
    "runs/runner.py": "the top of a run: what goes wrong in a kind fails its job, and nothing else",
    "runs/rollback.py": "the top of a rollback: an undo that breaks ends its rollback, and nothing else",
    "runs/hooks.py": "a hook that tells of something that has happened can't undo it, nor can its cleaning up",
    "webhooks/sender.py": "the top of the threads that send: a delivery that breaks is tried again",
    "service/actions/thread.py": "the top of a thread: an action that could not go on is gone on with later",
    "service/following/follower.py": "the top of a thread: requests that wait look by themselves then, and tell",
    "engines/live_run.py": "the top of a thread: its slot is given back whatever happens",
    "engines/threads.py": "the top of the dispatcher: a job that could not be begun is tried again",
    "engines/fleet/supervised_worker.py": "the top of a worker: another one begins in its place",
    "kinds/work.py": "Work.take: what an item raises is kept until the items before it are committed",
    "kinds/item_work.py": "the same, for items of which some are under way at once",
    "store/commits/group_commit.py": "the top of a thread: what a checkpoint raises is its future's",
    "store/commits/at_once.py": "the same, where the future has its value at once",
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
    assert found == set(MAY_CATCH_ALL), "catch what you expect; only the top of a run or a thread catches everything"


def test_only_the_room_for_metrics_imports_prometheus_client() -> None:
    """It decides while it is imported where values are kept, so that the room has to come before it."""
    others = set(PACKAGE.rglob("*.py")) - set((PACKAGE / "metrics").rglob("*.py"))
    assert_imports_none(sorted(others), "prometheus_client")


def test_only_the_room_for_traces_imports_opentelemetry() -> None:
    """Its packages are an extra. Even there, nothing imports them before somebody asks for traces."""
    others = set(PACKAGE.rglob("*.py")) - {PACKAGE / "traces" / "recorded.py", PACKAGE / "traces" / "sender.py"}
    assert_imports_none(sorted(others), "opentelemetry")


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


OF_ALL_JOBS = {"jobs", "actions", "pruner", "follower"}
"""The services that know everybody's jobs."""

READS_BY_CALLER = {"records", "teams", "existed", "check_made"}
"""What the results tell of everybody's jobs."""


def test_requests_ask_of_jobs_what_their_caller_may() -> None:
    for path in files_of("web"):
        if path.relative_to(PACKAGE).as_posix() == "web/access.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            asked = isinstance(node, ast.Attribute) and node.attr
            of = ast.unparse(node.value) if isinstance(node, ast.Attribute) else ""
            wrong = (of == "services()" and asked in OF_ALL_JOBS) or (
                of == "services().results" and asked in READS_BY_CALLER
            )
            assert not wrong, f"{path.name}:{node.lineno} asks {of}.{asked} of everybody's jobs: ask authorized()"
