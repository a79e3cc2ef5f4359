"""Strays in a remote store, and which names there are ours."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from time import monotonic

from jobsvc.files.job_ids import SHAPE, is_job_id
from jobsvc.files.output_parts import is_made
from jobsvc.files.remote.store import Info, RemoteStore
from jobsvc.files.strays import KEPT, STRAYS, Tidied, moment, moved_at

INPUT = "input"
OUTPUT = "output"

_NAME = re.compile(rf"({SHAPE})/(?:{INPUT}|{OUTPUT}/([^/]+))")
_ASIDE = re.compile(rf"{STRAYS}/([^/]+)/(.+)")

MAX_SECONDS = 20.0
"""A start does not wait longer for strays: each is copied, since a store can't rename. The rest comes next time."""

MAX_STUCK = 3
"""A store that refuses so often, or does not answer, is left alone until next time."""


def owner(name: str) -> str | None:
    """The id of the job that an object of that name would belong to; None if the name is not of our making."""
    found = _NAME.fullmatch(name)
    return found[1] if found and (found[2] is None or is_made(found[2])) else None


class RemoteStrays:
    """Of `store`. What it moves or removes has a name of our own shape; all else might not be there."""

    def __init__(self, store: RemoteStore) -> None:
        self._store = store
        self._done = Tidied()

    def tidy(
        self, known: Collection[str], forgotten: Collection[str], at: datetime, older_than: timedelta | None
    ) -> Tidied:
        """Implements `Files.tidy_strays`."""
        deadline = monotonic() + MAX_SECONDS
        for name in self._store.find(STRAYS):
            if self._enough(deadline):
                return self._done
            self._settle(name, known, forgotten, at)
        latest = None if older_than is None else at - older_than
        for job_id in self._store.folders():
            if self._enough(deadline):
                return self._done
            if is_job_id(job_id) and job_id not in known:
                with self._done.trying(job_id):
                    self._tidy_job(job_id, job_id in forgotten, at, latest)
        return self._done

    def _enough(self, deadline: float) -> bool:
        return monotonic() > deadline or len(self._done.stuck) >= MAX_STUCK

    def _tidy_job(self, job_id: str, forgotten: bool, at: datetime, latest: datetime | None) -> None:
        found = {name: info for name, info in self._store.find(job_id).items() if owner(name) == job_id}
        if forgotten:
            self._remove(found)
        elif found and (latest is None or _changed(found.values()) < latest):
            for name in found:
                target = f"{STRAYS}/{moment(at)}/{name}"
                self._store.move(name, target)
                self._done.aside.append(target)

    def _settle(self, aside: str, known: Collection[str], forgotten: Collection[str], at: datetime) -> None:
        parts = _ASIDE.fullmatch(aside)
        moved = moved_at(parts[1]) if parts else None
        job_id = owner(parts[2]) if parts else None
        if parts is None or moved is None or job_id is None:
            return
        with self._done.trying(aside):
            if job_id in known and not self._store.exists(parts[2]):
                self._store.move(aside, parts[2])
                self._done.back.append(parts[2])
            elif job_id in forgotten or at - moved >= KEPT:
                self._remove([aside])

    def _remove(self, names: Collection[str]) -> None:
        self._store.remove(names)
        self._done.removed += names


def _changed(infos: Iterable[Info]) -> datetime:
    return max(info.modified for info in infos)
