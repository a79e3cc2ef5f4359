"""Pages of `GET /jobs` among a million jobs, against the same among a thousand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from statistics import median
from urllib.parse import urlencode

from bench.many_jobs_stored import COMMON, KIND, RARE, USER, directory_with_jobs
from bench.report import Measured, at_most, at_most_times
from bench.workshop import Running, Workshop

FEW = 1_000
PAGE = 10
PAGES_ON = 1_000

AT_MOST_TIMES = 2.0
SEARCH_AT_MOST_MS = 500
"""What a search may take that finds little: it goes through a quarter of a million jobs for a page."""

FILTERS = {
    "no filter": {},
    "state": {"state": "succeeded"},
    "a state of few": {"state": "failed"},
    "states": {"state": "failed,paused,terminated"},
    "kind": {"kind": KIND},
    "user": {"user": USER},
    "state, kind": {"state": "failed", "kind": KIND},
    "state, user": {"state": "succeeded", "user": USER},
    "kind, user": {"kind": KIND, "user": USER},
    "state, kind, user": {"state": "succeeded", "kind": KIND, "user": USER},
    "a text that most have": {"text": COMMON},
}


def rows(workshop: Workshop) -> Iterator[Measured]:
    many = workshop.scale.listed_jobs
    with (
        workshop.server(directory_with_jobs(workshop, many)) as large,
        workshop.server(directory_with_jobs(workshop, FEW)) as small,
    ):
        for page, pages_on in (("first page", 0), (f"{PAGES_ON:,}th page", PAGES_ON)):
            found = []
            for what, asked in FILTERS.items():
                ours, reference = _medians(workshop, [_path(running, asked, pages_on) for running in (large, small)])
                found.append((ours / reference, what, ours, reference))
            _, worst, ours, reference = max(found)
            label = f"GET /jobs, {page} among {many:,}, the worst of {len(FILTERS)} filters: {worst}"
            against = f"among {FEW:,}"
            yield at_most_times(label, ours, reference, AT_MOST_TIMES, unit="ms", against=against, digits=2)
        (rare,) = _medians(workshop, [_path(large, {"text": RARE}, 0)])
        label = f"GET /jobs, a text that one job in a thousand has, among {many:,}"
        yield at_most(label, rare, SEARCH_AT_MOST_MS, unit="ms")


def _path(running: Running, asked: dict[str, str], pages_on: int) -> tuple[Running, str]:
    """The request for a page; of fewer jobs than that, for a page in their middle."""
    wanted = {**asked, "limit": str(PAGE)}
    if pages_on:
        found = running.server.query(*_key_after(asked, pages_on * PAGE))
        found = found or running.server.query(*_key_after(asked, 0))
        wanted["after"] = str(found[0][0])
    return running, f"/jobs?{urlencode(wanted)}"


def _key_after(asked: dict[str, str], jobs: int) -> tuple[str, ...]:
    """The query for the key of the job behind which a page begins: after so many, or in the middle of all."""
    which = "deleted_at IS NULL"
    values: list[str] = []
    if "state" in asked:
        which += " AND state IN (SELECT value FROM json_each(?))"
        values.append(json.dumps(asked["state"].split(",")))
    for name in ("kind", "user"):
        if name in asked:
            which += f' AND "{name}" = ?'
            values.append(asked[name])
    place = str(jobs) if jobs else f"(SELECT count(*) / 2 FROM jobs WHERE {which})"
    values += [] if jobs else values
    return (f"SELECT key FROM jobs WHERE {which} ORDER BY key DESC LIMIT 1 OFFSET {place}", *values)


def _medians(workshop: Workshop, paths: list[tuple[Running, str]]) -> list[float]:
    """How long each takes, in ms; asked in turns, so that both meet the machine as it is."""
    taken: list[list[float]] = [[] for _ in paths]
    for _ in range(workshop.scale.looks):
        for (running, path), figures in zip(paths, taken, strict=True):
            answer = running.client.get(path)
            assert answer.status == 200, answer
            assert answer.json["jobs"], path
            figures.append(answer.seconds * 1000)
    return [median(figures) for figures in taken]
