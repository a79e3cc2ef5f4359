"""Disks without room, as far as SQLite and a file can tell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from jobsvc.store.database import Database

UNLIMITED = 2**32 - 2


@contextmanager
def full(database: Database, pages: int = 0) -> Iterator[None]:
    """SQLite's file can't grow by more than so many pages: what needs one gets a genuine SQLITE_FULL."""
    with database.read() as connection:
        most = connection.exec_driver_sql("PRAGMA page_count").scalar_one() + pages
    limit = [most]

    def limited(driver: Any, *_: object) -> None:
        driver.execute(f"PRAGMA max_page_count={limit[0]}").close()

    engine = database.backend.engine
    event.listen(engine, "checkout", limited)
    try:
        yield
    finally:
        # Connections keep the limit: it is lifted as they are taken.
        limit[0] = UNLIMITED


class FullFile(FileIO):
    """A file on a disk that has no room: it is there, and what is written fails with a genuine ENOSPC."""

    def write(self, data: Any, /) -> int:
        with FileIO("/dev/full", "w") as nowhere:
            return nowhere.write(data)


@contextmanager
def full_for_new_files() -> Iterator[None]:
    """Files that are opened for writing meanwhile find no room."""
    opened = Path.open

    def open_full(path: Path, mode: str = "r", *given: Any, **more: Any) -> Any:
        if "b" in mode and ("w" in mode or "x" in mode):
            return FullFile(path, mode.replace("b", ""))
        return opened(path, mode, *given, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", open_full)
        yield
