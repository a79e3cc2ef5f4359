from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.house import House
from tests.support.watching import Commits, noted_commits


@pytest.fixture
def commits() -> Iterator[Commits]:
    with noted_commits() as commits:
        yield commits


@pytest.fixture
def make_house(tmp_path: Path, commits: Commits, database_url: str) -> Iterator[Callable[..., House]]:
    """Puts houses together on `tmp_path / "data"`, unless told otherwise; all are closed at the end."""
    houses: list[House] = []

    def make(data_dir: Path = tmp_path / "data", *, start: bool = True, **more: Any) -> House:
        house = House.build(data_dir, commits, **{"database_url": database_url, **more})
        houses.append(house)
        if start:
            house.start()
        return house

    yield make
    for house in houses:
        house.close()


@pytest.fixture
def house(make_house: Callable[..., House]) -> House:
    return make_house()


@pytest.fixture
def idle(make_house: Callable[..., House]) -> House:
    """A house whose engines haven't started: nothing happens to its jobs by itself."""
    return make_house(start=False)
