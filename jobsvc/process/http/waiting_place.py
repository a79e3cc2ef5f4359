"""Where a request waits for a job: among the server's slots, and for a change as long as its client is there."""

from __future__ import annotations

import select

from jobsvc.process.http.client_socket import ClientSocket
from jobsvc.process.http.transfer_slots import TransferSlots

PLACE = "jobsvc.place"
"""The name in the WSGI environment under which a request finds its place."""

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
