"""The same in a fleet, whose web server and workers are killed: no change is without its line."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.support.changes import KEYS, assert_every_change_has_its_line, change_under_kills
from tests.support.fleet import FAST, Fleet
from tests.support.waiting import poll


def test_under_random_kills_every_change_has_its_line_and_every_line_its_change(
    make_fleet: Callable[..., Fleet], chance: random.Random
) -> None:
    fleet = make_fleet(**FAST, JOBSVC_API_KEYS=KEYS)
    web = fleet.start_web(processes=2)
    for _ in range(2):
        fleet.start_worker(concurrency=1, wait=False)

    def kill(number: int) -> None:
        if number % 2:
            web.kill()
        else:
            poll(lambda: fleet.query("SELECT count(*) FROM jobs WHERE state = 'running'")[0][0] > 0, 30, "a job to run")
            for worker in fleet.running_workers():
                worker.kill()
        # Others go on meanwhile.
        assert_every_change_has_its_line(web)
        if number % 2:
            web.start()
        else:
            for _ in range(2):
                fleet.start_worker(concurrency=1, wait=False)

    change_under_kills(web, chance, kill, left="its worker was given up", kills=4)
