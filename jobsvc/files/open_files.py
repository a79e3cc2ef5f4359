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
    if not url:
        try:
            return LocalFiles(settings.data_dir / "files")
        except OSError as error:
            raise SettingError(f"JOBSVC_DATA_DIR={str(settings.data_dir)!r} can't be used: {error}") from error
    if url.startswith("file:"):
        try:
            return LocalFiles(Path(unquote(urlsplit(url).path)))
        except OSError as error:
            raise SettingError(f"JOBSVC_FILES_URL={url!r} can't be used: {error}") from error
    # fsspec takes a while to import, and files in a folder don't need it.
    from jobsvc.files.remote.opening import open_remote  # noqa: PLC0415

    return open_remote(url)
