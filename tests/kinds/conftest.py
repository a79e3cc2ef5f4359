from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask

from jobsvc.store.database import Database
from jobsvc.web.services import Services
from tests.support.api import Api
from tests.support.waiting import Commits


@pytest.fixture
def api(app: Flask, commits: Commits) -> Api:
    return Api(app, commits)


@pytest.fixture
def database(services: Services) -> Iterator[Database]:
    """Another look at the application's database."""
    database = Database(services.settings.url)
    yield database
    database.close()
