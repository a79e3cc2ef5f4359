"""Whatever clients do with their connections, others are answered."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import silent_clients
from tests.support.server import Server, SlowUpload
from tests.support.silent_clients import LOCAL, Crowd, connect
from tests.support.waiting import poll

WATCHED = [sys.executable, "-m", "gunicorn", "-k", "tests.process.programs.watched_http.Watched"]
PATIENT = [sys.executable, "-m", "gunicorn", "-k", "tests.process.programs.watched_http.Patient"]
IMPATIENT = [sys.executable, "-m", "gunicorn", "-k", "tests.process.programs.watched_http.Impatient"]

EACH = 40
"""More than there are threads."""

SOON_SECONDS = 3.0
"""It takes milliseconds; on a machine that is busy with other tests sometimes more."""

SLOTS = 24


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    yield from _served(tmp_path_factory.mktemp("watched"), WATCHED)


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    yield from _served(tmp_path_factory.mktemp("impatient"), [*IMPATIENT, "--worker-connections", "60"])


def _served(directory: Path, command: list[str]) -> Iterator[Served]:
    server = Server(directory / "data", command, DATABASE_URL="", JOBSVC_KINDS="tests.support.ticks:Ticks")
    try:
        yield Served(server.start())
        log = server.log.read_text()
        assert log.count("Booting worker") == 1, log[-3000:]
        assert "Traceback" not in log, log[-3000:]
    finally:
        server.kill()


class Served:
    """A server with a job that never ends, and a large file to download."""

    ROWS = 800
    ROW_BYTES = 10_000

    def __init__(self, server: Server) -> None:
        self.server = server
        self.port = server.port
        file = server.data_dir.parent / "large.csv"
        file.write_text("date,text\n" + ("2026-01-01," + "x" * self.ROW_BYTES + "\n") * self.ROWS)
        source = server.upload(file)
        server.wait_for(source, "succeeded")
        export = server.export("2026-01-01", "2026-01-01", job=source)
        server.wait_for(export, "succeeded")
        self.download = f"/jobs/{export}/result"
        status, job = server.post("/kinds/ticks/jobs", {"count": 1_000_000, "seconds": 0.05})
        assert status < 300, job
        self.endless: str = job["id"]

    def slowest(self, rounds: int = 3) -> float:
        """Ask how it is, pause and resume; returns the seconds that the slowest answer took."""
        most = 0.0
        for _ in range(rounds):
            for method, path in (
                ("GET", "/healthz"),
                ("POST", f"/jobs/{self.endless}/pause"),
                ("POST", f"/jobs/{self.endless}/resume"),
            ):
                begun = time.monotonic()
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
                connection.request(method, path)
                assert connection.getresponse().status in (200, 202)
                connection.close()
                most = max(most, time.monotonic() - begun)
        return most


def head(data: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers with lower-case names, and what comes after them."""
    start, _, body = data.partition(b"\r\n\r\n")
    first, *lines = start.decode().split("\r\n")
    return int(first.split()[1]), {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}, body


def read_until_closed(client: socket.socket) -> bytes:
    """Raises ConnectionResetError where that is how it ends."""
    received = b""
    while data := client.recv(65536):
        received += data
    return received


def ask(port: int, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send something on a connection of its own, and read until the server closes it."""
    with connect(port) as client:
        client.sendall(request)
        return head(read_until_closed(client))


@pytest.mark.parametrize(
    "kind",
    [
        silent_clients.opened,
        silent_clients.half_a_header,
        silent_clients.half_a_body,
        silent_clients.half_a_body_in_chunks,
        silent_clients.half_an_upload,
        silent_clients.close_left_open,
        silent_clients.http_1_0_left_open,
        silent_clients.body_to_a_wrong_path,
        silent_clients.unread_download,
    ],
    ids=lambda kind: kind.__name__,
)
def test_clients_that_leave_the_server_waiting_delay_nobody_else(served: Served, kind: Any) -> None:
    if kind is silent_clients.unread_download:
        kind = kind(served.download)
    worker = served.server.worker_pid()
    with Crowd(served.port, [kind], EACH):
        assert served.slowest() < SOON_SECONDS
    poll(lambda: not _refused(served), 10, "what they held to be free again")
    assert served.server.worker_pid() == worker


def test_a_connection_stays_usable_after_an_answer_that_came_before_the_body_was_read(served: Served) -> None:
    client = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
    statuses = []
    kept = 0
    for number in range(12):
        for method, path, size in (
            ("POST", "/nowhere", 90_000),
            ("GET", "/healthz", 0),
            ("POST", "/nowhere", 20_000),
            ("DELETE", "/healthz", 65_536),
            ("POST", "/exportData", 100_000 + number),
            ("POST", "/uploadCSV", 1_000_000),
        ):
            # http.client makes a new connection only where the answer has said so: a reset would be raised.
            client.request(method, path, bytes(size) or None, {"Content-Type": "text/plain"} if size else {})
            answer = client.getresponse()
            answer.read()
            statuses.append(answer.status)
            kept += not answer.will_close
    assert statuses[:6] == [404, 200, 404, 405, 413, 400]
    assert kept >= 3 * 12


def test_requests_may_follow_each_other_without_waiting_for_the_answers(served: Served) -> None:
    get = b"GET /healthz HTTP/1.1\r\n" + LOCAL + b"\r\n"
    post = b"POST /nowhere HTTP/1.1\r\n" + LOCAL + b"Content-Length: 1000\r\n\r\n" + b"x" * 1000
    chunked = b"POST /exportData HTTP/1.1\r\n" + LOCAL + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    last = b"GET /healthz HTTP/1.1\r\n" + LOCAL + b"Connection: close\r\n\r\n"
    with connect(served.port) as client:
        requests = get + post + chunked + get + last
        # The second piece begins within a body.
        client.sendall(requests[:300])
        client.sendall(requests[300:])
        received = read_until_closed(client)
    statuses = [int(text) for text in re.findall(rb"HTTP/1.1 (\d+) ", received)]
    assert statuses == [200, 404, 400, 200, 200]


def test_a_body_is_asked_for_only_when_it_will_be_read(served: Served) -> None:
    expect = LOCAL + b"Expect: 100-continue\r\nConnection: close\r\nContent-Length: "
    file = silent_clients.FILE_PART + b"a,b\n" + b"1,2\n" * 50_000 + b"\r\n--b--\r\n"
    with connect(served.port) as client:
        client.sendall(b"POST /uploadCSV HTTP/1.1\r\n" + silent_clients.MULTIPART + expect + b"%d\r\n\r\n" % len(file))
        assert client.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(file)
        assert head(read_until_closed(client))[0] == 200
    with connect(served.port) as client:
        client.sendall(b"POST /exportData HTTP/1.1\r\n" + expect + b"2\r\n\r\n")
        assert client.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"{}")
        assert head(read_until_closed(client))[0] == 400
    # Where the next request would begin is known to nobody then.
    kept = expect.replace(b"Connection: close\r\n", b"")
    status, headers, _ = ask(served.port, b"POST /nowhere HTTP/1.1\r\n" + kept + b"1000000\r\n\r\n")
    assert (status, headers["connection"]) == (404, "close")


def test_a_download_is_sent_by_the_system_and_its_ranges_are_right(served: Served) -> None:
    before = served.server.log.read_text().count("os.sendfile sent")
    whole = served.server.get_bytes(served.download)
    assert len(whole) > Served.ROWS * Served.ROW_BYTES
    assert served.server.log.read_text().count("os.sendfile sent") > before
    for text, expected in (("bytes=5-9", whole[5:10]), ("bytes=-7", whole[-7:]), ("bytes=100000-", whole[100_000:])):
        client = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
        client.request("GET", served.download, headers={"Range": text})
        answer = client.getresponse()
        assert (answer.status, answer.read()) == (206, expected)
        client.close()


def test_a_header_that_comes_byte_by_byte_is_cut_off_at_the_deadline(impatient: Served) -> None:
    begun = time.monotonic()
    with connect(impatient.port, timeout=0.05) as client:
        received = b""
        for byte in b"GET /healthz HTTP/1.1\r\nX-Slow: " + bytes([65]) * 1000:
            client.sendall(bytes([byte]))
            try:
                received = client.recv(1000)
                break
            except TimeoutError:
                continue
    assert head(received)[0] == 408
    assert time.monotonic() - begun < 20


def test_what_does_not_arrive_or_is_not_taken_ends_at_its_deadline_with_words(impatient: Served) -> None:
    uploads = [silent_clients.half_an_upload(impatient.port) for _ in range(SLOTS + 4)]
    half_body = silent_clients.half_a_body(impatient.port)
    answers = [head(read_until_closed(client)) for client in uploads]
    statuses = sorted(status for status, _, _ in answers)
    # Those for which no slot became free in time, and those that took one and then fell silent.
    assert statuses == [400] * SLOTS + [503] * 4
    refused = next(answer for answer in answers if answer[0] == 503)
    assert refused[1]["retry-after"] == "5"
    assert "all 24 slots for uploads" in json.loads(refused[2])["detail"]
    status, _, body = head(read_until_closed(half_body))
    assert status == 408
    assert "the body of the request did not arrive within 1 seconds" in json.loads(body)["message"]

    unread = silent_clients.unread_download(impatient.download)(impatient.port)
    poll(lambda: "nothing was taken for 4 seconds" in impatient.server.log.read_text(), 20, "the download's end")
    for client in (*uploads, half_body, unread):
        client.close()


def test_where_all_slots_are_taken_a_large_answer_is_refused_and_small_ones_are_not(served: Served) -> None:
    with Crowd(served.port, [silent_clients.half_an_upload], SLOTS):
        poll(lambda: _refused(served), 10, "the slots to be taken")
        status, headers, body = ask(
            served.port, f"GET {served.download} HTTP/1.1\r\n".encode() + LOCAL + b"Connection: close\r\n\r\n"
        )
        assert (status, headers["retry-after"]) == (503, "5")
        assert json.loads(body)["errorType"] == "too_many_transfers"
        assert served.slowest(1) < SOON_SECONDS
        # A small body that does not say how long it is waits for no slot either.
        chunks = b"POST /exportData HTTP/1.1\r\n" + LOCAL + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert ask(served.port, chunks + b"2\r\n{}\r\n0\r\n\r\n")[0] == 400
        assert _refused(served)
    poll(lambda: not _refused(served), 10, "the slots to be free again")


def _refused(served: Served) -> bool:
    client = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
    client.request("GET", served.download)
    status = client.getresponse().status
    client.close()
    return status == 503


def test_more_connections_than_the_server_can_hold_make_room_for_new_ones(impatient: Served) -> None:
    with Crowd(impatient.port, [silent_clients.half_a_header], 150):
        assert impatient.slowest(1) < SOON_SECONDS


def test_small_halves_of_requests_on_all_connections_shut_nobody_out(make_server: Callable[..., Server]) -> None:
    settings = {"JOBSVC_KINDS": "tests.support.ticks:Ticks"}
    server = make_server([*PATIENT, "--worker-connections", "40"], **settings).start()
    request = b"GET /healthz HTTP/1.1\r\n" + LOCAL + b"Connection: close\r\n\r\n"
    with Crowd(server.port, [silent_clients.half_a_body], 60):
        for _ in range(5):
            with connect(server.port) as quiet:
                # Whoever comes later makes room for itself, and not at the cost of who has just come.
                assert ask(server.port, request)[0] == 200
                quiet.sendall(request)
                assert head(read_until_closed(quiet))[0] == 200
        # Lengths that the parser reads as any others.
        zeros = LOCAL + b"Content-Length: " + b"0" * 20 + b"100\r\n\r\n{"
        long = [connect(server.port) for _ in range(36)]
        for client in long:
            client.sendall(b"POST /exportData HTTP/1.1\r\n" + zeros)
        assert ask(server.port, request)[0] == 200
        for client in long:
            client.close()


def test_a_shutdown_is_as_quick_as_ever_whatever_clients_do(make_server: Callable[..., Server]) -> None:
    settings = {"JOBSVC_KINDS": "tests.support.ticks:Ticks", "JOBSVC_SHUTDOWN_TIMEOUT": "30"}
    served = Served(make_server(PATIENT, **settings).start())
    process = served.server.process
    assert process is not None
    kinds = [
        silent_clients.half_a_header,
        silent_clients.half_a_body,
        silent_clients.half_a_body_in_chunks,
        silent_clients.unread_download(served.download),
        silent_clients.close_left_open,
        silent_clients.half_an_upload,
        silent_clients.http_1_0_left_open,
    ]
    with Crowd(served.port, kinds, 20):
        assert served.slowest(1) < SOON_SECONDS
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        seconds = time.monotonic() - begun
    print(f"gone after {seconds:.2f} s")
    # Silent transfers are given three seconds, all else half a one; what waits in vain takes the whole of the thirty.
    assert seconds < 15
    # Or it had not begun again since the last pause.
    assert served.server.stored(served.endless)[0] in ("interrupted", "queued")


def test_an_upload_that_goes_on_is_finished_in_a_shutdown(make_server: Callable[..., Server]) -> None:
    server = make_server().start()
    assert server.process is not None
    slow = SlowUpload(server, b"a,b\n" + b"1,2\n" * 500_000)
    idle = connect(server.port)
    server.process.send_signal(signal.SIGTERM)
    # At the end of an idle connection, the shutdown is under way.
    assert idle.recv(1) == b""
    status, _ = slow.send_rest()
    assert status == 200
    assert server.process.wait(20) == 0
