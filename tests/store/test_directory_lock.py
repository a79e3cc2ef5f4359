"""To whom a data directory is given, and when. Locks of one process exclude each other as those of two do."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobsvc.store.directory_lock import DirectoryInUse, DirectoryLock


def test_it_is_given_to_one(tmp_path: Path) -> None:
    first, second = DirectoryLock(tmp_path), DirectoryLock(tmp_path)
    first.acquire(0)
    with pytest.raises(DirectoryInUse, match="Stop that process"):
        second.acquire(0)
    first.release()
    second.acquire(0)
    second.release()


def test_another_worker_of_the_same_server_does_not_share_it_either(tmp_path: Path) -> None:
    """It waits for a reload's handover, which here never comes."""
    old, new = DirectoryLock(tmp_path), DirectoryLock(tmp_path)
    old.acquire(0)
    with pytest.raises(DirectoryInUse, match="another worker of the same server"):
        new.acquire(0.01)
    old.release()
    new.acquire(0.01)
    new.release()
