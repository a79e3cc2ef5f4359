"""For how long the server waits for its clients."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ClientTimeouts:
    """Times in seconds. They bound what clients may keep waiting, never what the application takes."""

    head: float = 10.0
    """From the first byte of a request (on a new connection: from its beginning) to the end of its header."""
    body: float = 20.0
    """From the end of the header to the end of a small body."""
    chunks: float = 1.0
    """For the end of a body that does not say how long it is; after that it is taken for an upload."""
    answer: float = 30.0
    """For a client to take a small answer."""
    slot: float = 10.0
    """For which an upload waits for a slot, before it is told to come again."""
    silent: float = 60.0
    """For which a client may send nothing of an upload, or take nothing of a download."""
    least_bytes: int = 60 * 1024
    """What must move in `silent` seconds of waiting for the client, so that a trickle ends too: 1 KiB a second."""
    linger: float = 2.0
    """After an answer that ends the connection, for the client to close it or to send more."""
    longest_linger: float = 30.0
    """However much it sends."""
    stop: float = 0.5
    """At a shutdown, for connections without a whole request: one may just be on its way."""
    stop_upload: float = 3.0
    """At a shutdown, for an upload from which nothing comes."""
    stop_download: float = 1.0
    """At a shutdown, for a download of which nothing is taken."""
