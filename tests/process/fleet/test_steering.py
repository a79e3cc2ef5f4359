"""Stopping and starting jobs through a web process that runs none of them."""

from __future__ import annotations

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

from tests.support.exactly_once import DATE_COLUMN, assert_exactly_once
from tests.support.fleet import Fleet
from tests.support.server import Server

STEERERS = 8
STOPS = 1000
ACTIONS = 2000
LONG = 1_000_000


def rows_and_done(connection: psycopg.Connection[Any], job_id: str) -> tuple[int, int, str]:
    """How many records a job has, how many it has counted, and its state, as of one moment."""
    found = connection.execute(
        "SELECT (SELECT count(*) FROM records AS r WHERE r.job_key = j.key), j.done, j.state "
        "FROM jobs AS j WHERE id = %s",
        (job_id,),
    ).fetchone()
    assert found is not None
    return found


def test_once_a_stop_is_answered_nothing_more_takes_effect_in_a_thousand_stops(
    fleet: Fleet, long_part: Path, chance: random.Random
) -> None:
    """What was there at the answer is compared with what is there before the job goes on; a few are ended instead."""
    web = fleet.start_web()
    for _ in range(2):
        fleet.start_worker(concurrency=STEERERS)
    numbers = count()
    stopped: list[tuple[str, int]] = []
    latencies: list[float] = []

    def new_job(steerer: int) -> str:
        # Two of them import real files, whose batches are large.
        return web.upload(long_part, date_column=DATE_COLUMN) if steerer < 2 else fleet.ticks(LONG)

    def steer(steerer: int, seed: int) -> None:
        mine = random.Random(seed)
        job_id = new_job(steerer)
        with psycopg.connect(fleet.url, autocommit=True) as connection:
            while next(numbers) < STOPS:
                time.sleep(mine.uniform(0, 0.05))
                action = "pause" if mine.random() < 0.75 else "terminate"
                began = time.monotonic()
                status, job = web.post(f"/jobs/{job_id}/{action}?wait=30")
                latencies.append(time.monotonic() - began)
                if status == 409:
                    assert job["state"] == "succeeded", job
                    job_id = new_job(steerer)
                    continue
                assert status == 200, job
                if job["state"] == "succeeded":
                    # Every item was committed before the run could see the request.
                    job_id = new_job(steerer)
                    continue
                rows, done, state = rows_and_done(connection, job_id)
                assert (rows, state) == (done, "paused" if action == "pause" else "terminated")
                # What the others do meanwhile gives a run that has not stopped the time to show it.
                if mine.random() < 0.3:
                    web.get("/readyz")
                    time.sleep(mine.uniform(0, 0.05))
                assert rows_and_done(connection, job_id) == (rows, done, state)
                stopped.append((job_id, rows))
                if action == "terminate":
                    job_id = new_job(steerer)
                else:
                    status, job = web.post(f"/jobs/{job_id}/resume")
                    assert status == 200, job

    with ThreadPoolExecutor(STEERERS) as threads:
        for steering in [threads.submit(steer, number, chance.randrange(10**6)) for number in range(STEERERS)]:
            steering.result()
    latencies.sort()
    print(
        f"{len(stopped)} stops, {len({job_id for job_id, _ in stopped})} jobs; "
        f"answered within {latencies[len(latencies) // 2] * 1000:.0f} ms (p50), "
        f"{latencies[len(latencies) * 99 // 100] * 1000:.0f} ms (p99)"
    )
    assert len(stopped) > STOPS * 0.8
    assert len(set(stopped)) > STOPS * 0.4, "most stops came while nothing was done: they show little"
    # Terminated jobs have not grown until now, either.
    with psycopg.connect(fleet.url) as connection:
        final = {job_id: rows_and_done(connection, job_id) for job_id, _ in stopped}
    assert [one for one in final.values() if one[0] != one[1]] == []
    last = dict(stopped)
    assert [
        job_id for job_id, (rows, _, state) in final.items() if state == "terminated" and rows != last[job_id]
    ] == []


def test_jobs_that_are_steered_thousands_of_times_at_random_moments_are_done_exactly_once(
    fleet: Fleet, part: Path, chance: random.Random
) -> None:
    webs = [fleet.start_web(processes=2), fleet.start_web()]
    for _ in range(2):
        fleet.start_worker(concurrency=4)
    imports = [webs[0].upload(part, date_column=DATE_COLUMN) for _ in range(4)]
    lengths = {fleet.ticks(750): 750 for _ in range(4)}
    ends = [fleet.ticks(LONG) for _ in range(4)]
    jobs = [*imports, *lengths, *ends]
    numbers = count()

    def steer(web: Server, seed: int) -> Counter[tuple[str, int]]:
        mine, answers = random.Random(seed), Counter[tuple[str, int]]()
        while (number := next(numbers)) < ACTIONS:
            job_id = mine.choice(jobs)
            action = mine.choice(["pause", "resume"])
            if number > ACTIONS * 0.9 and job_id in ends:
                action = "terminate"
            status, job = web.post(f"/jobs/{job_id}/{action}?wait={mine.choice([0, 0, 0.05, 1])}")
            assert status in (200, 202, 409), (action, status, job)
            answers[action, status] += 1
        return answers

    answers = Counter[tuple[str, int]]()
    with ThreadPoolExecutor(STEERERS) as threads:
        started = [threads.submit(steer, webs[n % 2], chance.randrange(10**6)) for n in range(STEERERS)]
        for steering in started:
            answers += steering.result()
    print(f"answers: {sorted(answers.items())}")
    for job_id in ends:
        webs[1].post(f"/jobs/{job_id}/terminate?wait=30")
        assert webs[1].job(job_id)["state"] == "terminated"
    for job_id in [*imports, *lengths]:
        if webs[1].job(job_id)["state"] in ("pausing", "paused"):
            webs[1].wait_for(job_id, "paused", "succeeded")
            webs[1].post(f"/jobs/{job_id}/resume")
    fleet.wait_all([*imports, *lengths])
    for job_id in imports:
        assert_exactly_once(fleet.data_dir, job_id, part, fleet.url)
    for job_id, length in lengths.items():
        fleet.assert_counted(job_id, length)
    for job_id in jobs:
        history = fleet.history(job_id)
        assert [line["from"] for line in history] == [None, *(line["to"] for line in history[:-1])]
    fleet.assert_queue_empty()
