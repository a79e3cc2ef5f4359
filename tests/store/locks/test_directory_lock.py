"""To whom a data directory is given, and when. Locks of one process exclude each other as those of two do."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobsvc.store.locks.directory_lock import DirectoryLock
from jobsvc.store.locks.flock import DirectoryInUse
from tests.support.lock_holder import LockHolder


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


def test_a_removed_lock_file_lets_nobody_in_and_the_refusal_names_the_first(tmp_path: Path) -> None:
    first = LockHolder(tmp_path)
    assert first.says() == "holds"
    (tmp_path / "jobsvc.lock").unlink()
    link = tmp_path.with_name(f"{tmp_path.name} link")
    link.symlink_to(tmp_path)
    for path in (tmp_path, link):
        with pytest.raises(DirectoryInUse, match=f"process {first.pid} on "):
            DirectoryLock(path).acquire(0)
    first.end()
    last = DirectoryLock(tmp_path)
    last.acquire(0)
    last.release()


def test_a_reload_hands_over_also_when_the_lock_file_was_removed(tmp_path: Path) -> None:
    """Both are children of this process, as two workers are of their server."""
    old = LockHolder(tmp_path)
    assert old.says() == "holds"
    (tmp_path / "jobsvc.lock").unlink()
    new = LockHolder(tmp_path, handover_seconds=60)
    old.end()
    assert new.says() == "holds"
    new.end()
