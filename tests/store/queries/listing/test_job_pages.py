"""Lists of jobs are as quick with a million jobs as with a hundred."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import update

from jobsvc.identifiers import JobKey
from jobsvc.service.lookup import Listed
from jobsvc.store.queries.listing import job_pages
from jobsvc.store.queries.listing.job_pages import Span
from jobsvc.store.tables import jobs
from tests.support.environment import Environment
from tests.support.many_jobs import add_jobs
from tests.support.plans import plan_of

SORTED = "USE TEMP B-TREE FOR ORDER BY"


def plan(env: Environment, listed: Listed, within: Span) -> list[str]:
    return plan_of(env, lambda connection: job_pages.page(connection, listed, within, 100).close())


def test_the_jobs_in_one_state_are_read_in_the_order_of_an_index(idle: Environment) -> None:
    found = plan(idle, Listed(states=("succeeded",)), Span(None, JobKey(1000)))
    assert found == ["SEARCH jobs USING INDEX jobs_listed (state=? AND key<?)"]


def test_of_several_states_only_a_pages_worth_of_each_is_sorted(idle: Environment) -> None:
    found = plan(idle, Listed(states=("succeeded", "failed")), Span(None, None))
    assert found.count("SEARCH jobs USING INDEX jobs_listed (state=?)") == 2
    # Only the jobs with the keys that these have found.
    assert [line for line in found if line == SORTED or line.startswith("SCAN jobs")] in ([], [SORTED])
    assert "SEARCH jobs USING INTEGER PRIMARY KEY (rowid=?)" in found


@pytest.mark.parametrize(
    ("listed", "searched"),
    [
        (Listed(), "INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
        (Listed(kind="gated"), "INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
        (Listed(user="Ann"), "INDEX jobs_user (user=? AND key>? AND key<?)"),
        (Listed(states=("failed",), kind="gated"), "INDEX jobs_listed (state=? AND key>? AND key<?)"),
    ],
    ids=str,
)
def test_a_search_for_a_text_looks_at_a_span_of_keys(idle: Environment, listed: Listed, searched: str) -> None:
    found = plan(idle, replace(listed, text="flights"), Span(JobKey(5), JobKey(1000)))
    assert found == [f"SEARCH jobs USING {searched}"]


@pytest.mark.both_databases
def test_a_page_of_a_search_ends_after_so_many_jobs_also_with_nothing_found(
    idle: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_pages, "SEARCHED_JOBS", 4)
    ids = add_jobs(idle.database, 10)
    wanted = [ids[0], ids[1], ids[9]]
    with idle.database.write() as connection:
        connection.execute(update(jobs).values(searched="another"))
        connection.execute(update(jobs).where(jobs.c.id.in_(wanted)).values(searched="wanted"))
    pages, after = [], None
    while True:
        page = idle.service.page(Listed(text="wanted"), limit=100, after=after)
        pages.append([job.id for job in page.jobs])
        after = page.next
        if after is None:
            break
    assert pages == [[ids[9]], [], [ids[1], ids[0]]]


@pytest.mark.both_databases
def test_a_job_that_an_older_version_has_stored_is_found_by_its_id(idle: Environment) -> None:
    (job_id,) = add_jobs(idle.database, 1)
    assert [job.id for job in idle.service.page(Listed(text="ANN-ticks"), limit=1).jobs] == [job_id]
    assert idle.service.page(Listed(text="bob"), limit=1).jobs == []
