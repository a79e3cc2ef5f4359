"""A dry run that one worker has checked is applied through another web process, and its worker is killed."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest

from tests.support.exactly_once import DATE_COLUMN, assert_exactly_once
from tests.support.fleet import Fleet
from tests.support.waiting import poll


@pytest.mark.parametrize("deleted", [False, True], ids=["kept", "deleted"])
def test_every_worker_finds_the_file_of_the_dry_run_also_when_that_is_deleted(
    fleet: Fleet, flights: Path, deleted: bool
) -> None:
    one, other = fleet.start_web(), fleet.start_web()
    for _ in range(2):
        fleet.start_worker(1)
    dry_run = one.upload(flights, dry_run="true", date_column=DATE_COLUMN)
    fleet.wait_all([dry_run])
    checked = one.job(dry_run)

    status, made = other.post(f"/jobs/{dry_run}/apply")
    assert status == 201, made
    assert (made["file"], made["applied_from"]) == (checked["file"], dry_run)
    if deleted:
        urllib.request.urlopen(urllib.request.Request(f"{one.url}/jobs/{dry_run}", method="DELETE"), timeout=30)
    poll(lambda: fleet.query("SELECT done FROM jobs WHERE id = %s", made["id"])[0][0] > 0, 60, "a checkpoint")
    worker = fleet.worker_of(made["id"])
    assert worker is not None
    worker.kill()

    fleet.wait_all([made["id"]])
    assert_exactly_once(one.data_dir, made["id"], flights, fleet.url)
    assert one.files() == [f"{dry_run}.input"]
