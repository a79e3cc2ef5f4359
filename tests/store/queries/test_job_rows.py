from __future__ import annotations

import pytest

from jobsvc.store.queries import job_rows
from tests.support.environment import Environment


def test_a_column_that_there_is_not_is_no_part_of_a_new_job(idle: Environment) -> None:
    """A statement that is built once would leave it out unseen."""
    with idle.database.write() as connection, pytest.raises(AssertionError, match="filname"):
        job_rows.add(connection, {"id": "a-job", "filname": "a.csv"})
