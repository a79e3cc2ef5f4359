"""Telling a full disk from other errors of files."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from jobsvc.store.errors import NoRoom

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


def is_no_room(error: OSError) -> bool:
    """Whether the disk is full, or its user's quota."""
    return error.errno in _NO_ROOM


@contextmanager
def told_of_no_room() -> Iterator[None]:
    """Raise NoRoom where the block finds no room for a file."""
    try:
        yield
    except OSError as error:
        if is_no_room(error):
            raise NoRoom("there is no room for the files") from error
        raise
