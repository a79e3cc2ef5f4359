"""Choosing the store of the files by JOBSVC_FILES_URL."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from jobsvc.files.contract import Files
from jobsvc.files.local.files import LocalFiles
from jobsvc.settings import SettingError, Settings


def open_files(settings: Settings) -> Files:
    """The files of the service. Raises SettingError if they can't be where the setting says."""
    url = settings.files_url
    folder = folder_of(settings)
    if folder is not None:
        try:
            return LocalFiles(folder)
        except OSError as error:
            named = f"JOBSVC_FILES_URL={url!r}" if url else f"JOBSVC_DATA_DIR={str(settings.data_dir)!r}"
            raise SettingError(f"{named} can't be used: {error}") from error
    # fsspec takes a while to import, and files in a folder don't need it.
    from jobsvc.files.remote.opening import open_remote  # noqa: PLC0415

    return open_remote(url)


def folder_of(settings: Settings) -> Path | None:
    """The folder that the files are in; None if they are in no folder."""
    if not settings.files_url:
        return settings.data_dir / "files"
    if settings.files_url.startswith("file:"):
        return Path(unquote(urlsplit(settings.files_url).path))
    return None
