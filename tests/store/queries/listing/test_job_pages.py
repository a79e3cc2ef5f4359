"""Lists of jobs are as quick with a million jobs as with a hundred."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from sqlalchemy import update

from jobsvc.identifiers import JobKey
from jobsvc.jobs.job import Job
from jobsvc.service.lookup import Listed
from jobsvc.store.queries.listing import job_pages
from jobsvc.store.queries.listing.job_pages import Span
from jobsvc.store.tables import jobs
from tests.support.environment import Environment
from tests.support.many_jobs import add_jobs
from tests.support.plans import plan_of


def plan(env: Environment, listed: Listed, within: Span) -> list[str]:
    return plan_of(env, lambda connection: job_pages.page(connection, listed, within, 100).close())


FILTERS = [
    Listed(states=states, kind=kind, user=user)
    for states in ((), ("succeeded",), ("succeeded", "failed", "paused"))
    for kind in (None, "ticks", "unknown")
    for user in (None, "Ann", "nobody")
]
"""All filters without a text: of what jobs have, and of what none has."""


@pytest.fixture
def some(idle: Environment) -> Environment:
    add_jobs(idle.database, 50, "succeeded", "ticks", "Ann")
    add_jobs(idle.database, 50, "failed", "gated", "Ann")
    add_jobs(idle.database, 50, "failed", "ticks", "Bob")
    add_jobs(idle.database, 50, "succeeded", "gated", "Bob")
    return idle


@pytest.mark.parametrize("below", [None, 100], ids=["first", "later"])
def test_a_page_is_read_from_an_index_that_has_all_of_the_filter(some: Environment, below: int | None) -> None:
    for listed in FILTERS:
        assert_index_has_all(some, listed, below)


def assert_index_has_all(some: Environment, listed: Listed, below: int | None) -> None:
    found = plan(some, listed, Span(None, None if below is None else JobKey(below)))

    # With no filter, the table itself is read from its end.
    assert [line for line in found if line.startswith("SCAN jobs")] == (
        ["SCAN jobs"] if listed == Listed() and below is None else []
    ), listed
    assert not any("TEMP B-TREE" in line for line in found), (listed, found)
    wanted = [
        *(["user"] if listed.user else []),
        *(["kind", "state"] if listed.kind else ["state"] * bool(listed.states)),
    ]
    searched = [set(re.findall(r"(\w+)=\?", line)) for line in found if line.startswith("SEARCH jobs USING")]
    # Rows that were found are read by their keys; the states of a kind are looked up by the kind.
    assert all(names in ({"rowid"}, set(wanted), set(wanted) - {"state"}) for names in searched), (listed, found)
    if listed.kind != "unknown" and listed.user != "nobody" and wanted:
        assert set(wanted) in searched, listed


@pytest.mark.both_databases
def test_a_page_has_the_youngest_jobs_that_the_filter_finds(some: Environment) -> None:
    for listed in FILTERS:
        assert_has_the_youngest(some, listed)


def assert_has_the_youngest(some: Environment, listed: Listed) -> None:
    def fits(job: Job) -> bool:
        asked = ((listed.kind, job.kind), (listed.user, job.user))
        named = all(wanted is None or wanted == has for wanted, has in asked)
        return named and (not listed.states or job.state in listed.states)

    every = [job.id for job in some.service.page(limit=1000).jobs if fits(job)]
    assert len(every) in (0, 50, 100, 200), listed
    first = some.service.page(listed, limit=30)
    assert [job.id for job in first.jobs] == every[:30], listed
    if every:
        later = some.service.page(listed, limit=30, after=first.next)
        assert [job.id for job in later.jobs] == every[30:60], listed


@pytest.mark.both_databases
def test_a_job_in_a_state_that_nobody_knows_is_in_a_list_by_its_kind(some: Environment) -> None:
    (odd,) = add_jobs(some.database, 1, "dreaming", "ticks", "Cid")
    for user in (None, "Cid"):
        assert some.service.page(Listed(kind="ticks", user=user), limit=10).jobs[0].id == odd


@pytest.mark.both_databases
def test_no_page_is_found_by_reading_all_jobs(some: Environment) -> None:
    for listed in FILTERS:
        found = plan(some, listed, Span(None, JobKey(100)))
        assert not any(re.search(r"Seq Scan on jobs|SCAN jobs", line) for line in found), (listed, found)


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
