"""How many request threads may be busy with sending or receiving, or wait for a job or a run, at the same time."""

from __future__ import annotations

import json
from threading import Lock

SMALL_BYTES = 64 * 1024
"""A body or an answer of at most so many bytes is kept in memory: no thread waits for the client."""

RETRY_SECONDS = 5


class TransferSlots:
    """Three quarters of the request threads: an upload or a large answer takes one. Safe to share among threads.

    A request that waits for a job to change takes one too, of which there are a quarter of
    the threads, and so does one that waits long for a run: both together have half of the
    threads. One that waits shortly for a run takes none, and is let wait only where an eighth of the
    threads has nothing of all this to do: that is what always answers the requests that wait for nothing.
    `_lock` guards the counts.
    """

    def __init__(self, threads: int) -> None:
        self.count = threads * 3 // 4
        self.to_follow = threads // 4
        self.to_wait = threads // 2
        self.but_quick = threads - max(1, threads // 8)
        self._lock = Lock()
        self._taken = 0
        self._followed = 0
        self._waited = 0
        """Both sorts of long waits."""
        self._short = 0

    def take(self) -> bool:
        """Returns False, at once, where none is free."""
        with self._lock:
            if self._taken >= self.count:
                return False
            self._taken += 1
            return True

    def give_back(self) -> None:
        with self._lock:
            self._taken -= 1

    def take_to_follow(self) -> bool:
        """The same for a request that waits for a job to change."""
        with self._lock:
            if self._followed >= self.to_follow or not self._take_to_wait():
                return False
            self._followed += 1
            return True

    def give_back_from_following(self) -> None:
        with self._lock:
            self._followed -= 1
            self._give_back_from_wait()

    def take_to_wait_long(self) -> bool:
        """The same for a request that waits long for a run."""
        with self._lock:
            return self._take_to_wait()

    def give_back_from_long_wait(self) -> None:
        with self._lock:
            self._give_back_from_wait()

    def take_to_wait_shortly(self) -> bool:
        """Whether a thread may wait shortly: it takes no slot, so that no upload is refused for it."""
        with self._lock:
            if self._taken + self._short >= self.but_quick:
                return False
            self._short += 1
            return True

    def give_back_from_short_wait(self) -> None:
        with self._lock:
            self._short -= 1

    def _take_to_wait(self) -> bool:
        if self._taken >= self.count or self._waited >= self.to_wait:
            return False
        self._taken += 1
        self._waited += 1
        return True

    def _give_back_from_wait(self) -> None:
        self._taken -= 1
        self._waited -= 1

    def refusal(self) -> bytes:
        """The body of the 503 where none is free: a problem document that old and new clients understand."""
        return refusal_body(
            503,
            "too_many_transfers",
            "Too many uploads and downloads",
            f"all {self.count} slots for uploads and for downloads of more than {SMALL_BYTES // 1024} KiB are taken; "
            f"nothing was changed; ask again in {RETRY_SECONDS} seconds",
        )


def refusal_body(status: int, error_type: str, title: str, detail: str) -> bytes:
    """What the server itself answers, whatever the route: RFC 9457, with the fields of the original's routes."""
    return (
        json.dumps(
            {
                "type": f"urn:jobsvc:{error_type.replace('_', '-')}",
                "title": title,
                "status": status,
                "detail": detail,
                "errorType": error_type,
                "message": detail,
            }
        ).encode()
        + b"\n"
    )
