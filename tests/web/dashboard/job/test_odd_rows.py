"""What somebody else has written into the database keeps nobody from a job's page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from jobsvc.jobs.states import State
from jobsvc.store.database import Database
from jobsvc.web.services import Services
from tests.support.requests import upload
from tests.support.waiting import wait_for
from tests.web.dashboard.job.conftest import Look


@pytest.fixture
def database(services: Services) -> Iterator[Database]:
    database = Database(services.settings.url)
    yield database
    database.close()


@pytest.fixture
def job_id(client: FlaskClient, services: Services) -> str:
    job_id = upload(client, b"date,a\n2026-01-01,good\n2026-01-02,spoilt\nnever,x\n")
    wait_for(services, job_id, State.SUCCEEDED)
    return job_id


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE jobs SET params = '[1]'",
        'UPDATE jobs SET params = \'{"a": {"b": [1]}, "dry_run": "perhaps", "from": null}\'',
        "UPDATE jobs SET warnings = '[1, null, {}]'",
        "UPDATE jobs SET warnings = 'none'",
        "UPDATE jobs SET state = 'strange'",
        "UPDATE jobs SET kind = 'strange'",
        'UPDATE jobs SET columns = \'["a", "a"]\'',
        "UPDATE jobs SET columns = 'none'",
        "UPDATE jobs SET started_at = NULL, finished_at = NULL",
        "UPDATE jobs SET error = ''",
        "UPDATE records SET data = 'no JSON' WHERE row = 2",
        "UPDATE records SET data = '[1, null]', date = 'never' WHERE row = 2",
        'UPDATE records SET data = \'[["<b>"], {"c": 1}]\' WHERE row = 2',
        "UPDATE job_events SET \"to\" = 'strange', why = '', who = '<b>'",
        'UPDATE refused_rows SET "offset" = NULL, line = NULL',
        'UPDATE refused_rows SET "offset" = 10000000',
        "UPDATE refusal_counts SET samples = 'none'",
        "DELETE FROM refused_rows",
        "DELETE FROM job_events",
        "DELETE FROM records",
        "UPDATE job_samples SET points = 'none'",
        "UPDATE job_log SET level = 'strange', text = '', item = 7",
    ],
)
def test_a_job_is_shown_whatever_is_in_its_rows(look: Look, database: Database, job_id: str, statement: str) -> None:
    with database.write() as connection:
        assert connection.execute(text(statement.replace(":", "\\:"))).rowcount > 0
    page = look(job_id)
    assert 'id="history-title"' in page
    assert "<b>" not in page


def test_a_record_that_can_not_be_read_is_shown_as_it_is(look: Look, database: Database, job_id: str) -> None:
    with database.write() as connection:
        connection.execute(text("UPDATE records SET data = 'no JSON' WHERE row = 2"))
    page = look(job_id)
    assert ">good</div>" in page
    assert ">no JSON</div>" in page
