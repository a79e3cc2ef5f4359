"""What an upload is compared with: a Flask application that writes the raw body of a request to a file."""

from __future__ import annotations

import os
from pathlib import Path

from flask import Flask, request

READ_BYTES = 256 * 1024

app = Flask(__name__)
target = Path(os.environ["JOBSVC_DATA_DIR"])


@app.get("/readyz")
def readyz() -> dict[str, str]:
    return {"status": "ready"}


@app.post("/raw")
def raw() -> dict[str, int]:
    return {"bytes": _receive(to_disk=False)}


@app.post("/raw-to-disk")
def raw_to_disk() -> dict[str, int]:
    """As the service does: answered when the file would survive a power cut."""
    return {"bytes": _receive(to_disk=True)}


def _receive(to_disk: bool) -> int:
    with target.open("wb", buffering=0) as file:
        while piece := request.stream.read(READ_BYTES):
            file.write(piece)
        if to_disk:
            os.fsync(file.fileno())
        return file.tell()
