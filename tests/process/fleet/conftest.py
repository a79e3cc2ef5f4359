from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest

from tests.support.databases import fresh
from tests.support.fleet import FAST, Fleet

PART_ROWS = 10_000
LONG_ROWS = 100_000


@pytest.fixture
def database_url() -> Iterator[str]:
    with fresh("postgresql") as url:
        yield url


@pytest.fixture
def make_fleet(tmp_path: Path, database_url: str) -> Iterator[Callable[..., Fleet]]:
    """Makes fleets, of which nothing has been started; everything is killed at the end."""
    fleets: list[Fleet] = []

    def make(url: str = database_url, **settings: str) -> Fleet:
        fleets.append(Fleet(tmp_path / f"fleet-{len(fleets)}", url, **settings))
        return fleets[-1]

    yield make
    for fleet in fleets:
        fleet.close()


@pytest.fixture
def fleet(make_fleet: Callable[..., Fleet]) -> Fleet:
    """A fleet that notices a lost worker soon."""
    return make_fleet(**FAST)


@pytest.fixture(scope="session")
def part(flights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first rows of flights.csv."""
    return first_rows(flights, PART_ROWS, tmp_path_factory.mktemp("fleet") / "part.csv")


@pytest.fixture(scope="session")
def long_part(flights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """More of them: enough for a second or two of work."""
    return first_rows(flights, LONG_ROWS, tmp_path_factory.mktemp("fleet") / "long.csv")


def first_rows(file: Path, rows: int, part: Path) -> Path:
    with file.open() as whole, part.open("w") as out:
        out.writelines(islice(whole, rows + 1))
    return part


@pytest.fixture
def chance() -> random.Random:
    """Randomness that can be repeated: the seed is printed, and stands in a failing test's output."""
    seed = random.randrange(10**6)
    print(f"random seed: {seed}")
    return random.Random(seed)
