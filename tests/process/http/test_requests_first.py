"""From when on a request goes ahead of threads that compute, and until when."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from jobsvc.process.http.beyond_wsgi import TELLS_OF_ANSWERS, TOLD_OF_REQUESTS
from jobsvc.web import in_flight
from jobsvc.web.in_flight import InFlight
from tests.process.http.test_broken_answers import NEW, Client
from tests.support.waiting import TIMEOUT


class Application:
    """Has its `InFlight` where a server looks for it, and notes whether a request is first when it gets one."""

    def __init__(self) -> None:
        self.in_flight = InFlight(self._answer, TELLS_OF_ANSWERS)
        self.extensions = {TOLD_OF_REQUESTS: self.in_flight}
        self.noted: dict[str, bool] = {}

    def __call__(self, environ: Any, start: Callable[..., Any]) -> Iterable[bytes]:
        return self.in_flight(environ, start)

    def _answer(self, environ: Any, start: Callable[..., Any]) -> Iterable[bytes]:
        self.note("answering")
        start("200 OK", [("Content-Length", "1")])
        return [b"a"]

    def note(self, when: str) -> None:
        self.noted.setdefault(when, self.in_flight.first_for() > 0)


@pytest.fixture
def application(monkeypatch: pytest.MonkeyPatch) -> Application:
    monkeypatch.setattr(in_flight, "FIRST_SECONDS", TIMEOUT)
    return Application()


@pytest.fixture
def client(application: Application) -> Iterable[Client]:
    client = Client(application)
    client.worker.app = SimpleNamespace(wsgi=lambda: application)
    client.worker.load_wsgi()
    yield client
    client.end.close()
    client.conn.close()
    client.worker.poller.close()


def test_it_is_first_before_a_thread_has_it(
    client: Client, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client.worker, "enqueue_req", lambda conn: application.note("handed over"))
    client.worker._hand_over(client.conn)
    assert application.noted == {"handed over": True}


def test_it_is_first_until_its_answer_is_sent(
    client: Client, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    flush = client.conn.sock.flush

    def noting() -> bool:
        application.note("sending")
        return flush()

    monkeypatch.setattr(client.conn.sock, "flush", noting)
    assert client.ask(NEW)[0] == 200
    application.note("sent")
    assert application.noted == {"answering": True, "sending": True, "sent": False}


def test_it_is_no_longer_first_where_its_client_has_gone(
    client: Client, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone() -> bool:
        application.note("sending")
        raise BrokenPipeError

    monkeypatch.setattr(client.conn.sock, "flush", gone)
    client.conn.gathered += NEW
    client.conn.data_ready = True
    assert not client.worker.handle(client.conn)
    application.note("given up")
    assert application.noted == {"answering": True, "sending": True, "given up": False}
