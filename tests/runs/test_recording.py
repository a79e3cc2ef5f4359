"""Writing down the end of a run while the database can't be written."""

from __future__ import annotations

import sqlite3
from threading import Thread

from sqlalchemy.exc import OperationalError

from jobsvc.runs.recording import until_recorded
from jobsvc.runs.signals import Signals
from tests.support.waiting import TIMEOUT


class FullDisk:
    """A database that refuses so many writes; each refusal signals the run, as one who steers the job would."""

    def __init__(self, refusals: int, signals: Signals, *, shut_down: bool = False) -> None:
        self._left = refusals
        self._signals = signals
        self._shut_down = shut_down
        self.tried = 0

    def write(self) -> str:
        self.tried += 1
        if self.tried <= self._left:
            if self._shut_down:
                self._signals.shut_down()
            self._signals.stop.set()
            raise OperationalError("UPDATE", {}, sqlite3.OperationalError("database or disk is full"))
        return "written"


def test_it_is_tried_until_the_database_takes_it() -> None:
    signals = Signals()
    disk = FullDisk(5, signals)
    answers: list[str | None] = []
    thread = Thread(target=lambda: answers.append(until_recorded(disk.write, signals)))
    thread.start()
    thread.join(TIMEOUT)
    assert answers == ["written"]
    assert disk.tried == 6


def test_a_shutdown_ends_the_trying() -> None:
    signals = Signals()
    disk = FullDisk(1000, signals, shut_down=True)
    assert until_recorded(disk.write, signals) is None
    assert disk.tried == 1
