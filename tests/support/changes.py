"""Clients that change whatever can be changed, and whether each change has its line in the audit."""

from __future__ import annotations

import http.client
import json
import random
import re
import time
from collections import Counter
from collections.abc import Callable
from threading import Event, Thread
from typing import Any
from urllib.parse import urlencode

from jobsvc.jobs.states import ON_ITS_OWN, SERVICE
from tests.support.server import Server
from tests.support.waiting import poll

OPS = f"key-of-ops-{'0' * 16}"
KEYS = f"ops:{OPS}:admin"

LINES = 40
"""Between two kills."""

GAVE_WAY = "it gave its slot"

LIVE = 3
"""So many jobs each client has under way at most."""

BY_ACTION = re.compile(r"; by action (\S+)$")


class Changing(Thread):
    """One client: it changes things as fast as it is answered, whatever the answers are."""

    def __init__(self, server: Server, seed: int, stopped: Event) -> None:
        super().__init__(daemon=True)
        self._server, self._chance, self._stopped = server, random.Random(seed), stopped
        self._live: list[str] = []
        self._over: list[str] = []
        self._keys: list[str] = []
        self._cookie = ""
        self.wrong: list[str] = []
        """Requests that were malformed, and so would show nothing."""
        self._acts: list[tuple[Callable[[], None], int]] = [
            (self._start, 6),
            (lambda: self._steer("pause"), 8),
            (lambda: self._steer("resume"), 8),
            (lambda: self._end("terminate"), 1),
            (lambda: self._end("terminate", rollback=True), 1),
            (lambda: self._about_one_that_is_over("POST", "/rollback"), 4),
            (lambda: self._about_one_that_is_over("DELETE", ""), 3),
            (self._ask_many, 2),
            (self._make_key, 2),
            (self._revoke_key, 2),
            (self._log_in_or_out, 2),
        ]

    def run(self) -> None:
        acts, weights = zip(*self._acts, strict=True)
        while not self._stopped.is_set():
            try:
                self._chance.choices(acts, weights)[0]()
            except (OSError, http.client.HTTPException, ValueError):
                # The server has just been killed, and is started again.
                self._stopped.wait(0.02)

    def _start(self) -> None:
        # Short ones end by themselves; long ones are there to be steered, and to give way.
        count = 1_000_000 if len(self._live) < LIVE else 5
        body = {"count": count, "priority": self._chance.choice(["low", "normal", "high"])}
        job_id = self._ask("POST", "/kinds/ticks/jobs", body)["id"]
        (self._live if count > 5 else self._over).append(job_id)

    def _steer(self, what: str) -> None:
        if self._live:
            self._ask("POST", f"/jobs/{self._chance.choice(self._live)}/{what}", {"wait": 0})

    def _end(self, what: str, **more: bool) -> None:
        if self._live:
            job_id = self._live.pop(self._chance.randrange(len(self._live)))
            self._over.append(job_id)
            self._ask("POST", f"/jobs/{job_id}/{what}", {"wait": 0, **more})

    def _about_one_that_is_over(self, method: str, path: str) -> None:
        if self._over:
            self._ask(method, f"/jobs/{self._chance.choice(self._over)}{path}")

    def _ask_many(self) -> None:
        self._ask("POST", "/jobs/actions", self._chance.choice(MANY) | {"wait": 0})

    def _make_key(self) -> None:
        made = self._ask("POST", "/keys", {"user": "cy", "role": "user"})
        self._keys.append(made["id"])

    def _revoke_key(self) -> None:
        if self._keys:
            self._ask("DELETE", f"/keys/{self._chance.choice(self._keys)}")

    def _log_in_or_out(self) -> None:
        if self._cookie:
            self._send("POST", "/logout", "", {"Cookie": self._cookie, "Origin": self._server.url})
            self._cookie = ""
        else:
            form = {"Content-Type": "application/x-www-form-urlencoded"}
            headers, _ = self._send("POST", "/login", urlencode({"key": OPS}), form)
            self._cookie = (headers["Set-Cookie"] or "").partition(";")[0]

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {OPS}"}
        _, told = self._send(method, path, "" if body is None else json.dumps(body), headers)
        return json.loads(told or b"{}")

    def _send(
        self, method: str, path: str, body: str, headers: dict[str, str]
    ) -> tuple[http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=30)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            told = answer.read()
            if answer.status in (400, 401, 403, 405):
                self.wrong.append(f"{method} {path}: {answer.status} {told[:300]!r}")
            return answer.headers, told
        finally:
            connection.close()


MANY: list[dict[str, Any]] = [
    {"action": "pause", "kind": "ticks"},
    {"action": "resume", "kind": "ticks"},
    {"action": "resume", "kind": "ticks"},
    {"action": "terminate", "rollback": True, "state": "succeeded"},
    {"action": "terminate", "state": "paused"},
]
"""What is asked of many jobs."""


def act_of(why: str) -> str:
    """What the audit calls that of which a job's history says why."""
    if "was submitted" in why:
        return "job.create"
    if "rollback was asked" in why:
        return "job.rollback"
    if "terminate was asked" in why:
        return "job.terminate"
    return "job.resume" if "resume was asked" in why else "job.pause"


def assert_every_change_has_its_line(server: Server) -> Counter[str]:
    """No state has changed without a line, and no line is there without its change. Returns how often each was done.

    Of what the service, an engine or a run does, that is a line in the job's history; of what a user does, also one
    in the audit, or one of the action on many jobs that has done it.
    """
    lines, jobs, events, keys, ((sessions,),) = server.snapshot(
        "SELECT action, target FROM audit WHERE outcome = 'done' AND status IS NULL",
        "SELECT key, id, state, deleted_at, rollback IS NOT NULL OR rolled_back FROM jobs ORDER BY key",
        'SELECT job_key, "from", "to", who, why FROM job_events ORDER BY id',
        "SELECT id, revoked_at FROM api_keys",
        "SELECT count(*) FROM sessions",
    )
    told = Counter(lines)
    histories: dict[int, list[tuple[str | None, str, str, str]]] = {}
    for key, *line in events:
        histories.setdefault(key, []).append((line[0], line[1], line[2], line[3]))

    found: Counter[tuple[str, str | None]] = Counter()
    for key, job_id, state, deleted_at, rolled_back in jobs:
        if deleted_at is not None:
            # Its history is being removed; what was done to it stays in the audit.
            found[("job.delete", job_id)] += 1
            found.update({line: count for line, count in told.items() if line[1] == job_id and line[0] != "job.delete"})
            continue
        history = histories[key]
        assert [line[0] for line in history] == [None, *(line[1] for line in history[:-1])], (job_id, history)
        assert history[-1][1] == state, (job_id, state, history)
        for _, _, who, why in history:
            by_action = BY_ACTION.search(why)
            if by_action is not None:
                assert told[("action.create", by_action[1])] == 1, why
            elif who not in ON_ITS_OWN:
                found[(act_of(why), job_id)] += 1
        # One that is terminating already stays so when it is to be rolled back: only its row tells of that.
        rollback = ("job.rollback", job_id)
        if rolled_back and told[rollback] == found[rollback] + 1:
            assert any(line[1] == "terminating" for line in history), history
            found[rollback] += 1
    for key_id, revoked_at in keys:
        found[("key.create", key_id)] += 1
        found[("key.revoke", key_id)] += revoked_at is not None
    found.update({line: count for line, count in told.items() if line[0] == "action.create"})
    logins, logouts = told.pop(("login", None), 0), told.pop(("logout", None), 0)
    assert logins - logouts == sessions
    assert +found == +told, {"without a line": found - told, "without a change": told - found}
    counts: Counter[str] = Counter({"login": logins, "logout": logouts})
    for (action, _), count in told.items():
        counts[action] += count
    return counts


def change_under_kills(
    server: Server, chance: random.Random, kill: Callable[[int], None], *, left: str, clients: int = 3, kills: int = 5
) -> Counter[str]:
    """Have clients change things, and `kill` a process now and then: it is told how many were, and starts it again.

    `left`: what the history of a job says whose process was killed. Returns how often each was done.
    """
    stopped = Event()
    changing = [Changing(server, chance.randrange(10**6), stopped) for _ in range(clients)]
    for client in changing:
        client.start()
    for number in range(kills):
        before = _count_lines(server)
        poll(lambda before=before: _count_lines(server) > before + LINES, 60, "so many lines")  # type: ignore[misc]
        # To any place in a transaction, or between two.
        time.sleep(chance.uniform(0, 0.05))
        kill(number)
    # What the service does by itself has its lines, too, and must not be missing here.
    for why in (left, GAVE_WAY):
        poll(lambda why=why: _was_moved(server, why), 30, f"{why!r} to be in a history")  # type: ignore[misc]
    stopped.set()
    for client in changing:
        client.join(60)
        assert not client.is_alive()
        assert not client.wrong
    done = assert_every_change_has_its_line(server)
    print(f"{sum(done.values())} changes of users, {kills} kills: {dict(done)}")
    assert set(done) >= EXPECTED
    return done


def _was_moved(server: Server, why: str) -> bool:
    return bool(server.query("SELECT 1 FROM job_events WHERE who = ? AND why LIKE ? LIMIT 1", SERVICE, f"%{why}%"))


def _count_lines(server: Server) -> int:
    return int(server.query("SELECT count(*) FROM audit")[0][0])


EXPECTED = {
    *("job.create", "job.pause", "job.resume", "job.terminate", "job.rollback", "job.delete"),
    *("action.create", "key.create", "key.revoke", "login", "logout"),
}
"""All that clients change."""
