"""kill -9 at any moment: no change of a user is without its line in the audit, and no line without its change."""

from __future__ import annotations

import http.client
import json
import random
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from threading import Event, Thread

import pytest

from tests.support.server import Server
from tests.support.waiting import poll

pytestmark = pytest.mark.both_databases

KILLS = 6
CLIENTS = 3
USER = "Jon-Doe"


class Client(Thread):
    """Starts jobs, and pauses, resumes and terminates them, as fast as it is answered, whatever the answers are."""

    def __init__(self, server: Server, seed: int, stopped: Event) -> None:
        super().__init__(daemon=True)
        self._server, self._chance, self._stopped = server, random.Random(seed), stopped
        self._jobs: list[str] = []

    def run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._ask()
            except (OSError, http.client.HTTPException, ValueError):
                # The server has just been killed, and is started again.
                self._stopped.wait(0.02)

    def _ask(self) -> None:
        if len(self._jobs) < 3:
            self._jobs.append(self._post("/kinds/ticks/jobs", {"count": 1_000_000})["id"])
            return
        job_id = self._chance.choice(self._jobs)
        what = self._chance.choices(["pause", "resume", "terminate"], [10, 10, 1])[0]
        if what == "terminate":
            self._jobs.remove(job_id)
        self._post(f"/jobs/{job_id}/{what}", {"wait": 0})

    def _post(self, path: str, body: object) -> dict[str, str]:
        request = urllib.request.Request(
            self._server.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        try:
            answer = urllib.request.urlopen(request, timeout=30)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            found: dict[str, str] = json.load(answer)
            return found


def changes(server: Server) -> Counter[tuple[str, str]]:
    """What users have changed, by the histories of jobs: (job, act), each as often as it happened."""
    rows = server.query(
        "SELECT jobs.id, why FROM job_events JOIN jobs ON jobs.key = job_key WHERE who = ? ORDER BY job_events.id", USER
    )
    return Counter((job_id, act_of(why)) for job_id, why in rows)


def act_of(why: str) -> str:
    if "was submitted" in why:
        return "job.create"
    if "terminate was asked" in why:
        return "job.terminate"
    return "job.resume" if "resume was asked" in why else "job.pause"


def lines(server: Server) -> Counter[tuple[str, str]]:
    """The same by the audit."""
    return Counter(server.query("SELECT target, action FROM audit WHERE outcome = 'done' AND status IS NULL"))


def test_under_random_kills_every_change_has_its_line_and_every_line_its_change(
    make_server: Callable[..., Server], chance: random.Random
) -> None:
    server = make_server(JOBSVC_KINDS="tests.support.ticks:Ticks", JOBSVC_MAX_RUNNING="2").start()
    stopped = Event()
    clients = [Client(server, chance.randrange(10**6), stopped) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    for _ in range(KILLS):
        before = server.query("SELECT count(*) FROM audit")[0][0]
        poll(lambda before=before: server.query("SELECT count(*) FROM audit")[0][0] > before + 20, 60, "some lines")  # type: ignore[misc]
        # To any place in a transaction, or between two.
        time.sleep(chance.uniform(0, 0.05))
        server.kill()
        assert changes(server) == lines(server)
        server.start()
    stopped.set()
    for client in clients:
        client.join(60)
    server.kill()
    found = lines(server)
    assert changes(server) == found
    print(f"{sum(found.values())} changes, {KILLS} kills")
    assert {act for _, act in found} >= {"job.create", "job.pause", "job.resume"}
