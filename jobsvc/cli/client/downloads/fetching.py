"""A download, asked for again from where it broke off (RFC 9110, sections 13.1.5 and 14)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from time import sleep
from typing import TYPE_CHECKING

from jobsvc.cli.client.api import Api, Unreachable
from jobsvc.cli.client.downloads.targets import Target
from jobsvc.cli.client.exits import Ended, Exit

if TYPE_CHECKING:
    import httpx2

PAUSES_SECONDS = (0.0, 1.0, 2.0, 4.0, 8.0)
"""Before the attempts after the first. What brings something more has all of them again."""


def fetch(
    api: Api,
    path: str,
    target: Target,
    moved: Callable[[int, int | None], None],
    pause: Callable[[float], None] = sleep,
) -> int:
    """Download what is at `path`; returns its size in bytes. `moved` is told how far it is, and of how much.

    What can't be had at all is an error at once; what broke off is asked for again.
    """
    began, tries = False, 0
    while True:
        before = target.position
        try:
            with api.stream(path, _going_on(target)) as answer:
                began = True
                if _take(answer, target, moved):
                    return target.finish()
        except Unreachable:
            if target.position != before:
                tries = 0
            if not began or tries == len(PAUSES_SECONDS):
                raise
            pause(PAUSES_SECONDS[tries])
            tries += 1


def _going_on(target: Target) -> Mapping[str, str]:
    # Without a tag nobody could say whether it is still the same file.
    if not target.position or target.etag is None:
        return {}
    return {"Range": f"bytes={target.position}-", "If-Range": target.etag}


def _take(answer: httpx2.Response, target: Target, moved: Callable[[int, int | None], None]) -> bool:
    """Write what came; whether that was the end of it."""
    ranged = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", answer.headers.get("Content-Range", ""))
    whole = int(ranged[2]) if ranged and ranged[2].isdigit() else None
    if answer.status_code == 416:
        if target.position == whole:
            return True
        target.begin(None)
        return False
    if answer.status_code == 206:
        if ranged is None or ranged[1] is None or int(ranged[1]) != target.position:
            raise Ended(Exit.UNREACHABLE, "another part was sent than the one that was asked for", 206)
    else:
        etag = answer.headers.get("ETag")
        target.begin(etag if etag and etag.startswith('"') else None)
        length = answer.headers.get("Content-Length", "")
        whole = int(length) if length.isdigit() else None
    for piece in answer.iter_bytes():
        target.write(piece)
        moved(target.position, whole)
    return True
