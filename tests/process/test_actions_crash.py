"""kill -9 in the middle of an action on very many jobs."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from jobsvc.settings import Settings
from jobsvc.store.database import Database
from tests.support.databases import lay_out
from tests.support.many_jobs import add_jobs
from tests.support.server import Server
from tests.support.waiting import poll

pytestmark = pytest.mark.both_databases

MANY = 10_000
FEWER = 2500
"""PostgreSQL takes several times as long for each."""

OTHERS = 200
LONG = {"count": 1_000_000}


@pytest.fixture
def many(database_url: str) -> int:
    return FEWER if database_url.startswith("postgresql") else MANY


@pytest.fixture
def full(make_server: Callable[..., Server], database_url: str, many: int) -> Server:
    """A server, not yet started, whose queue is long; some jobs were paused one by one."""
    server = make_server(JOBSVC_KINDS="tests.support.ticks:Ticks", JOBSVC_MAX_RUNNING="3")
    lay_out(server.data_dir, database_url)
    database = Database(Settings(data_dir=server.data_dir, database_url=database_url).url)
    add_jobs(database, many, **LONG)
    add_jobs(database, OTHERS, state="paused", user="Bob", **LONG)
    database.close()
    return server


def states(server: Server, user: str) -> Counter[str]:
    return Counter(dict(server.query('SELECT state, count(*) FROM jobs WHERE "user" = ? GROUP BY state', user)))


def ask(server: Server, found: int, **what: Any) -> Any:
    status, action = server.post("/jobs/actions", {"wait": 0, **what})
    assert (status, action["found"]) == (202, found), action
    return action


def kill_in_the_middle(server: Server, action: Any, chance: random.Random) -> int:
    """Kill the server once a number of jobs have been asked; returns how many have been."""

    def done() -> int:
        return int(server.query("SELECT done FROM actions WHERE id = ?", action["id"])[0][0])

    at = chance.randrange(action["found"] // 20, action["found"] * 7 // 10)
    poll(lambda: done() >= at, 60, f"{at} jobs to be asked")
    server.kill()
    return done()


def finished(server: Server, action: Any) -> Any:
    poll(lambda: is_over(server.get(f"/jobs/actions/{action['id']}?wait=10")), 90, "the action to be over", every=0)
    return server.get(f"/jobs/actions/{action['id']}")


def is_over(action: Any) -> bool:
    return action["finished_at"] is not None and action["stopping"] == 0


def test_an_action_on_thousands_of_jobs_goes_on_after_kill_9_and_does_everything_once(
    full: Server, many: int, chance: random.Random
) -> None:
    full.start()
    pause = ask(full, many + OTHERS, action="pause")
    done = kill_in_the_middle(full, pause, chance)
    assert 0 < done < many
    marked = full.query("SELECT count(*) FROM jobs WHERE stopped_by IS NOT NULL")[0][0]
    assert marked == done, "each job is as it was, or in the state that was asked for and counted"
    left = full.query("SELECT count(*) FROM action_jobs")[0][0]
    assert left == many - done

    began = time.monotonic()
    full.start()
    pause = finished(full, pause)
    print(f"killed at {done}; start, and {many - done} jobs paused, in {time.monotonic() - began:.1f} s")
    assert (pause["done"], pause["already"], pause["skipped"]["count"], pause["left"]) == (many, OTHERS, 0, 0)
    assert states(full, "Ann") == {"paused": many}
    assert states(full, "Bob") == {"paused": OTHERS}
    asked = full.query("SELECT job_key FROM job_events WHERE why LIKE ?", f"%by action {pause['id']}")
    assert len(asked) == len(set(asked)) == many

    resume = ask(full, many, action="resume", paused_by=pause["id"])
    done = kill_in_the_middle(full, resume, chance)
    began = time.monotonic()
    full.start()
    resume = finished(full, resume)
    print(f"killed at {done}; start, and {many - done} jobs resumed, in {time.monotonic() - began:.1f} s")
    assert (resume["done"], resume["skipped"]["count"], resume["left"]) == (many, 0, 0)
    assert states(full, "Bob") == {"paused": OTHERS}, "what others had paused stays paused"
    assert set(states(full, "Ann")) <= {"queued", "running"}
    order = [row[0] for row in full.query("SELECT key FROM jobs WHERE state = 'queued' ORDER BY queued_at, key")]
    assert order == sorted(order), "the queue has its order again"
