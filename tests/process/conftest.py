from __future__ import annotations

import random
from itertools import islice
from pathlib import Path

import pytest

PART_ROWS = 200_000
"""Half a second of work and more: an import is still under way after some requests."""


@pytest.fixture(scope="session")
def flights_part(flights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first rows of flights.csv."""
    part = tmp_path_factory.mktemp("part") / "part.csv"
    with flights.open() as whole, part.open("w") as out:
        out.writelines(islice(whole, PART_ROWS + 1))
    return part


@pytest.fixture(scope="module")
def chance() -> random.Random:
    """Randomness that can be repeated: the seed is printed, and stands in a failing test's output."""
    seed = random.randrange(10**6)
    print(f"random seed: {seed}")
    return random.Random(seed)
