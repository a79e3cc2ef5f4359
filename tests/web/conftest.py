from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from jobsvc.process.app import create_app
from jobsvc.settings import Settings
from tests.conftest import WholeAnswers


@pytest.fixture(scope="module")
def shared_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    """A client for requests that change nothing: its application is shared by the tests of a module."""
    app = create_app(Settings(data_dir=tmp_path_factory.mktemp("shared") / "data", min_free_bytes=0), own_process=False)
    app.test_client_class = WholeAnswers
    yield app.test_client()
    app.extensions["jobsvc"].close()
