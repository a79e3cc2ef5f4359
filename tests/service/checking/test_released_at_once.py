"""On PostgreSQL, two jobs that have one file are forgotten at the same moment."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Barrier
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from jobsvc.store.queries import forgetting
from jobsvc.web.services import Services
from tests.service.checking.test_shared_files import applied, checked, delete
from tests.support.databases import fresh
from tests.support.waiting import TIMEOUT


@pytest.fixture
def database_url() -> Iterator[str]:
    with fresh("postgresql") as url:
        yield url


def test_both_are_deleted_and_the_file_with_the_last(
    app: Flask, client: FlaskClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    dry_run = checked(client, services)
    made = [applied(client, services, dry_run) for _ in range(2)]
    delete(client, dry_run)
    together, calls, release = Barrier(2), count(), forgetting.release_inputs

    def released(*arguments: Any) -> list[str]:
        if next(calls) < 2:
            # Each has marked its own job by now, and sees the other's as it was.
            together.wait(TIMEOUT)
        return release(*arguments)

    monkeypatch.setattr(forgetting, "release_inputs", released)
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda job_id: app.test_client().delete(f"/jobs/{job_id}").status_code, made))
    assert answers == [204, 204]
    assert services.files.job_ids() == set()
