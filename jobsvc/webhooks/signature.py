"""Signatures as Standard Webhooks specifies them (https://www.standardwebhooks.com), and their secret."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import os
import secrets
from pathlib import Path
from tempfile import NamedTemporaryFile

from jobsvc.settings import SettingError

log = logging.getLogger(__name__)

PREFIX = "whsec_"

SECRET_FILE = "webhook-secret"  # noqa: S105
"""In the data directory: the secret that was made because none was set."""

SECRET_BYTES = 32


def headers(key: bytes, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers that go with a body. `timestamp` is in seconds since 1970."""
    signed = b".".join([message_id.encode(), str(timestamp).encode(), body])
    mac = hmac.new(key, signed, hashlib.sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }


def key_of(secret: str) -> bytes:
    """The key in a secret of the form whsec_<base64>. Raises ValueError."""
    if not secret.startswith(PREFIX):
        raise ValueError(f"it does not start with {PREFIX}")
    key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    if not key:
        raise ValueError("it is empty")
    return key


def load_key(secret: str, data_dir: Path) -> bytes:
    """The key to sign with: the one that was set or else the one in the data directory, which is made if need be.

    Raises SettingError.
    """
    if secret:
        return key_of(secret)
    path = data_dir / SECRET_FILE
    try:
        kept = path.read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        _make(path)
        kept = path.read_text(encoding="ascii", errors="replace")
    try:
        return key_of(kept.strip())
    except ValueError as error:
        raise SettingError(
            f"{path} does not hold a webhook secret ({error}): put one there, of the form {PREFIX}<base64>, "
            "set JOBSVC_WEBHOOK_SECRET, or remove the file to have a new one made"
        ) from error


def _make(path: Path) -> None:
    """Make a secret file, unless another process is first. It is there as a whole or not at all, whichever process
    dies, and when."""
    secret = PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
    # Only its owner may read it.
    with NamedTemporaryFile("w", dir=path.parent, prefix=f"{path.name}.", encoding="ascii") as file:
        file.write(secret + "\n")
        file.flush()
        os.fsync(file.fileno())
        try:
            os.link(file.name, path)
        except FileExistsError:
            return
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    log.info("made a secret for signing webhooks: %s", path)
