"""The file system of fsspec for a URL, with the arguments that it needs."""

from __future__ import annotations

from typing import Any

import fsspec  # type: ignore[import-untyped]

from jobsvc.files.remote.files import RemoteFiles
from jobsvc.files.remote.store import RemoteStore

S3_TRIES = 2
S3_CONFIG = {"connect_timeout": 5, "read_timeout": 15, "retries": {"mode": "standard", "max_attempts": S3_TRIES}}
"""A client of the service waits for the store: it is told after some seconds, and runs try again by themselves."""


def open_remote(url: str) -> RemoteFiles:
    """Files under `url`, which the settings have checked."""
    scheme, _, root = url.partition("://")
    # Other machines write there too: what was listed before is not to be believed.
    options: dict[str, Any] = {"use_listings_cache": False, "skip_instance_cache": True}
    if scheme == "s3":
        options |= {"config_kwargs": S3_CONFIG}
    filesystem = fsspec.filesystem(scheme, **options)
    if scheme == "s3":
        # It tries again by itself what botocore has already tried again.
        filesystem.retries = S3_TRIES
    return RemoteFiles(RemoteStore(filesystem, root, _errors(scheme)))


def _errors(scheme: str) -> tuple[type[Exception], ...]:
    if scheme != "s3":
        return (OSError,)
    # Only there where requirements-s3.txt is installed.
    from aiohttp import ClientError as HttpError  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]  # noqa: PLC0415

    return OSError, BotoCoreError, ClientError, HttpError
