"""What the service is can be asked also while its database is away."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobsvc.clock import now
from jobsvc.service.monitoring.details import Details, ServiceDetails
from jobsvc.settings import Settings
from jobsvc.store.database import Database
from jobsvc.store.disk.room import Room
from jobsvc.store.readiness import Readiness
from tests.support.environment import Environment
from tests.support.server import free_port


def details(database: Database, disk: Path) -> ServiceDetails:
    fault = Readiness(database, Room()).fault
    return Details(database, [], {"files": disk / "not there yet"}, 7, fault, now()).get()


def test_without_its_database_the_sizes_are_missing_and_it_says_that_it_is_not_ready(tmp_path: Path) -> None:
    database = Database(Settings(database_url=f"postgresql://ann:hush@127.0.0.1:{free_port()}/gone").url)
    found = details(database, tmp_path)
    database.close()
    assert found.sizes == {}
    assert found.not_ready is not None
    assert "hush" not in str(found)
    assert [(disk.holds, 0 < disk.free <= disk.total) for disk in found.disks] == [("files", True)]


@pytest.mark.both_databases
def test_the_database_is_told_with_its_version_and_sizes(idle: Environment, tmp_path: Path) -> None:
    found = details(idle.database, tmp_path)
    name = idle.database.backend.engine.name
    assert found.versions[name][0].isdigit()
    assert found.sizes["database"] > 0
    assert ("log" in found.sizes) == (name == "sqlite")
    assert found.not_ready is None
