"""Workers that say in the log what they do, and that wait longer or shorter for clients, for a test to wait for."""

from __future__ import annotations

import os

from jobsvc.process.http.client_timeouts import ClientTimeouts
from jobsvc.process.http.gunicorn_worker import HttpWorker


class Watched(HttpWorker):  # type: ignore[misc]
    """Tells of every os.sendfile."""

    def init_process(self) -> None:
        sendfile = os.sendfile

        def telling(out: int, source: int, offset: int, count: int) -> int:
            sent = sendfile(out, source, offset, count)
            self.log.info("os.sendfile sent %d bytes", sent)
            return sent

        os.sendfile = telling  # type: ignore[assignment]
        super().init_process()


class Impatient(HttpWorker):  # type: ignore[misc]
    timeouts = ClientTimeouts(
        head=1.0, body=1.0, answer=1.0, slot=0.2, silent=4.0, least_bytes=100, linger=0.5, longest_linger=2.0
    )


class Patient(HttpWorker):
    """Whatever it waits for takes longer than a test may."""

    timeouts = ClientTimeouts(head=60.0, body=60.0, chunks=60.0, answer=60.0, slot=60.0, silent=60.0, linger=60.0)
