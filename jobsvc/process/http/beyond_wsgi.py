"""What the server has for an application beyond WSGI.

A place for a request that waits for a job: among the server's slots, and for a change as long as its client
is there. And news of requests, for an application that wants them.
"""

from __future__ import annotations

import select
from typing import Protocol

from jobsvc.process.http.client_socket import ClientSocket
from jobsvc.process.http.transfer_slots import TransferSlots

PLACE = "jobsvc.place"
"""The name in the WSGI environment under which a request finds its place."""

TOLD_OF_REQUESTS = "jobsvc.told-of-requests"
"""Where a Flask application keeps its `ToldOfRequests` among its extensions."""

TELLS_OF_ANSWERS = "jobsvc.tells-of-answers"
"""The name in the WSGI environment of whether the application is told when the answer was sent."""

GONE = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)


class WaitingPlace:
    """For one request, and its thread."""

    def __init__(self, slots: TransferSlots, client: ClientSocket) -> None:
        self._client = client
        self.threads = slots
        """Of the server, for waits of other sorts."""
        self.take, self.give_back = slots.take_to_follow, slots.give_back_from_following

    def client_is_gone(self) -> bool:
        """Whether the client has closed its end. One that still reads gets its answer at once."""
        poll = select.poll()
        poll.register(self._client, GONE)
        return bool(poll.poll(0))


class ToldOfRequests(Protocol):
    """Is told of requests what an application can't see. Safe to call on any thread; returns at once."""

    def come(self) -> None:
        """One has come whole, and waits for a thread."""

    def answered(self) -> None:
        """The answer of one was sent, as far as its client has taken it by now, or nobody takes it any more."""
