from __future__ import annotations

import base64
import hashlib
import hmac
import re
import socket
import ssl
import stat
import subprocess
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update

from jobsvc.clock import now
from jobsvc.jobs.errors import InvalidParameter
from jobsvc.jobs.job import Job
from jobsvc.jobs.states import State
from jobsvc.jobs.transition import transition
from jobsvc.service.new_job import NewJob
from jobsvc.settings import SettingError, Settings
from jobsvc.store.database import Database
from jobsvc.store.queries import webhook_rows
from jobsvc.store.tables import webhooks
from jobsvc.web.services import Services
from jobsvc.webhooks import sender as sender_module
from jobsvc.webhooks.address import AddressRefused, check_callback, is_public, parse, resolve
from jobsvc.webhooks.post import Post
from jobsvc.webhooks.sender import MAX_ATTEMPTS, backoff
from jobsvc.webhooks.signature import SECRET_FILE, load_key
from tests.support.gated import Gated
from tests.support.outbox import Outbox, opened
from tests.support.receiver import Received, Receiver, receiving
from tests.support.waiting import TIMEOUT, Commits

pytestmark = pytest.mark.both_databases

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()

IN_A_DAY = lambda attempts: timedelta(days=1)  # noqa: E731


def services_of(app: Flask) -> Services:
    found = app.extensions["jobsvc"]
    assert isinstance(found, Services)
    return found


def submit(app: Flask, url: str | None, **params: Any) -> Job:
    jobs = services_of(app).jobs
    new = NewJob(jobs.new_id("Jon-Doe", "gated"), "gated", "Jon-Doe", {"count": 3, **params}, callback_url=url)
    return jobs.submit(new)


def webhooks_of(app: Flask, job: Job) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = app.test_client().get(f"/jobs/{job.id}/webhooks").get_json()["webhooks"]
    return found


def documented_verify() -> Callable[..., Any]:
    """The function that docs/webhooks.md tells people to use."""
    text = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {}
    exec(code[1], names)
    verify: Callable[..., Any] = names["verify"]
    return verify


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    return make_app(webhook_allow_private=True, webhook_secret=SECRET)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with opened(f"sqlite:///{tmp_path / 'outbox.db'}", KEY) as outbox:
        yield outbox


# What is sent


def test_a_job_that_succeeds_is_told_with_the_job_as_it_is_then(app: Flask, gated: Gated, receiver: Receiver) -> None:
    gated.gate.open()
    job = submit(app, receiver.url)
    (received,) = receiver.wait_for(1)
    assert received.path == "/hook"
    assert received.headers["content-type"] == "application/json"
    assert received.json["type"] == "job.succeeded"
    assert received.json["data"] == app.test_client().get(f"/jobs/{job.id}").get_json()
    assert received.json["data"]["state"] == "succeeded"
    assert received.json["data"]["progress"]["done"] == 3
    assert datetime.fromisoformat(received.json["timestamp"]).tzinfo is not None


def test_a_job_that_fails_is_told(app: Flask, gated: Gated, receiver: Receiver) -> None:
    gated.gate.open()
    submit(app, receiver.url, fail_at=2)
    (received,) = receiver.wait_for(1)
    assert received.json["type"] == "job.failed"
    assert received.json["data"]["error"] == "RuntimeError: item 2 broke"


def test_a_pause_and_a_termination_while_it_runs_are_told(app: Flask, gated: Gated, receiver: Receiver) -> None:
    job = submit(app, receiver.url)
    gated.gate.wait_reached(1)
    services_of(app).jobs.pause(job.id, "Ann", 0)
    gated.gate.open(1)
    receiver.wait_for(1)
    services_of(app).jobs.terminate(job.id, "Ann", TIMEOUT)
    paused, terminated = receiver.wait_for(2)
    assert (paused.json["type"], paused.json["data"]["state"]) == ("job.paused", "paused")
    assert paused.json["data"]["progress"]["done"] == 1
    assert (terminated.json["type"], terminated.json["data"]["state"]) == ("job.terminated", "terminated")
    assert paused.id != terminated.id


def test_a_pause_and_a_termination_in_the_queue_are_told_too(
    make_app: Callable[..., Flask], gated: Gated, receiver: Receiver
) -> None:
    app = make_app(webhook_allow_private=True, max_running=1)
    submit(app, None)
    gated.gate.wait_reached(1)
    job = submit(app, receiver.url)
    services_of(app).jobs.pause(job.id, "Ann", 0)
    receiver.wait_for(1)
    services_of(app).jobs.terminate(job.id, "Ann", 0)
    assert [one.json["type"] for one in receiver.wait_for(2)] == ["job.paused", "job.terminated"]


def test_a_job_without_a_callback_has_nothing_to_send(app: Flask, gated: Gated, commits: Commits) -> None:
    gated.gate.open()
    job = submit(app, None)
    commits.wait_for(lambda: services_of(app).jobs.get(job.id).state == "succeeded", "the job")
    assert webhooks_of(app, job) == []


def test_deliveries_are_shown(app: Flask, gated: Gated, receiver: Receiver, commits: Commits) -> None:
    gated.gate.open()
    job = submit(app, receiver.url)
    (received,) = receiver.wait_for(1)
    commits.wait_for(lambda: webhooks_of(app, job)[0]["delivered_at"] is not None, "delivery")
    (shown,) = webhooks_of(app, job)
    assert shown.pop("created_at") <= shown.pop("delivered_at")
    assert shown == {
        "id": received.id,
        "type": "job.succeeded",
        "url": receiver.url,
        "attempts": 1,
        "next_at": None,
        "last_error": None,
    }
    assert app.test_client().get("/jobs/no-such-job/webhooks").status_code == 404


# Signatures


def signature_of(received: Received, key: bytes) -> str:
    signed = f"{received.id}.{received.headers['webhook-timestamp']}.".encode() + received.body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def test_the_signature_verifies_as_the_guide_says(app: Flask, gated: Gated, receiver: Receiver) -> None:
    gated.gate.open()
    submit(app, receiver.url)
    (received,) = receiver.wait_for(1)
    assert received.headers["webhook-signature"] == signature_of(received, KEY)
    verify = documented_verify()
    assert verify(SECRET, received.headers, received.body) == received.json
    for headers, body in [
        (received.headers, received.body + b" "),
        ({**received.headers, "webhook-id": "msg_other"}, received.body),
        ({**received.headers, "webhook-signature": "v1,AAAA"}, received.body),
        ({**received.headers, "webhook-timestamp": "1575836394"}, received.body),
    ]:
        with pytest.raises(ValueError):
            verify(SECRET, headers, body)


def test_the_well_known_example_has_its_signature() -> None:
    # The known value that Standard Webhooks libraries are tested with.
    key = load_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", Path("unused"))
    headers = sender_module.signature.headers(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_without_a_secret_one_is_made_kept_and_used(
    make_app: Callable[..., Flask], gated: Gated, receiver: Receiver, tmp_path: Path
) -> None:
    gated.gate.open()
    path = tmp_path / "data" / SECRET_FILE
    signatures = []
    for count in (1, 2):
        app = make_app(webhook_allow_private=True)
        secret = path.read_text().strip()
        submit(app, receiver.url)
        received = receiver.wait_for(count)[-1]
        assert received.headers["webhook-signature"] == signature_of(received, load_key(secret, tmp_path))
        signatures.append(secret)
        services_of(app).close()
    assert signatures[0] == signatures[1]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.glob(f"{SECRET_FILE}*")] == [SECRET_FILE]


@pytest.mark.parametrize("content", ["", "whsec_", "secret", "whsec_!!"])
def test_a_secret_file_that_cant_be_used_stops_the_start(tmp_path: Path, content: str) -> None:
    (tmp_path / SECRET_FILE).write_text(content)
    with pytest.raises(SettingError, match=SECRET_FILE):
        load_key("", tmp_path)


# Retries


def test_it_is_sent_again_after_an_error_until_it_is_received(outbox: Outbox, commits: Commits) -> None:
    with receiving(500, 404, 503) as receiver:
        outbox.put("msg_1", receiver.url)
        outbox.send()
        row = outbox.wait_settled(commits, "msg_1")
        assert [one.id for one in receiver.wait_for(4)] == ["msg_1"] * 4
    assert row["delivered_at"] is not None
    assert row["attempts"] == 4


def test_it_waits_for_its_time_after_a_failure(outbox: Outbox, commits: Commits) -> None:
    with receiving(500) as receiver:
        outbox.put("msg_1", receiver.url)
        outbox.send(backoff=IN_A_DAY)
        row = outbox.wait_attempted(commits, "msg_1")
        assert row["last_error"] == "answered 500"
        assert row["next_at"] > now() + timedelta(hours=23)
        # Another process, a day later.
        outbox.send(now=lambda: now() + timedelta(days=2))
        assert len(receiver.wait_for(2)) == 2


def test_it_is_sent_by_itself_when_its_time_has_come(outbox: Outbox, commits: Commits) -> None:
    with receiving(500) as receiver:
        outbox.put("msg_1", receiver.url)
        outbox.send(backoff=lambda attempts: timedelta(milliseconds=50))
        assert outbox.wait_settled(commits, "msg_1")["attempts"] == 2
        assert len(receiver.received) == 2


def test_it_is_sent_again_after_a_refused_connection(outbox: Outbox, commits: Commits) -> None:
    with receiving() as gone:
        port = gone.port
    outbox.put("msg_1", f"http://127.0.0.1:{port}/hook")
    sender = outbox.send(backoff=IN_A_DAY)
    assert "Connection refused" in outbox.wait_attempted(commits, "msg_1")["last_error"]
    sender.shut_down(TIMEOUT)
    with receiving(port=port) as back:
        outbox.send(now=lambda: now() + timedelta(days=2))
        outbox.wait_settled(commits, "msg_1")
        assert [one.id for one in back.received] == ["msg_1"]


def test_it_is_given_up_after_the_last_attempt_and_the_error_kept(outbox: Outbox, commits: Commits) -> None:
    with receiving(*[500] * (MAX_ATTEMPTS + 5)) as receiver:
        outbox.put("msg_1", receiver.url)
        outbox.send()
        row = outbox.wait_settled(commits, "msg_1")
        assert len(receiver.received) == MAX_ATTEMPTS
    assert (row["delivered_at"], row["attempts"], row["last_error"]) == (None, MAX_ATTEMPTS, "answered 500")


def test_a_receiver_that_is_gone_for_good_is_not_asked_again(outbox: Outbox, commits: Commits) -> None:
    with receiving(410) as receiver:
        outbox.put("msg_1", receiver.url)
        outbox.send()
        row = outbox.wait_settled(commits, "msg_1")
        assert len(receiver.received) == 1
    assert (row["delivered_at"], row["last_error"]) == (None, "answered 410")


def test_a_redirect_is_not_followed(outbox: Outbox, commits: Commits) -> None:
    with receiving(302, 307) as receiver, receiving() as elsewhere:
        receiver.location = elsewhere.url
        outbox.put("msg_1", receiver.url)
        outbox.send()
        assert outbox.wait_settled(commits, "msg_1")["attempts"] == 3
        assert elsewhere.received == []


def test_several_processes_that_send_send_each_message_once(outbox: Outbox, commits: Commits) -> None:
    with receiving() as receiver:
        for number in range(30):
            outbox.put(f"msg_{number}", receiver.url)
        for _ in range(4):
            outbox.send(shared=True)
        for number in range(30):
            assert outbox.wait_settled(commits, f"msg_{number}")["attempts"] == 1
        assert sorted(one.id for one in receiver.received) == sorted(f"msg_{number}" for number in range(30))


def test_a_message_that_another_process_has_taken_is_sent_when_that_one_must_have_died(
    outbox: Outbox, commits: Commits
) -> None:
    with receiving() as receiver:
        outbox.put("msg_1", receiver.url)
        with outbox.database.write() as connection:
            taken = webhook_rows.take(connection, 1, now(), now() + timedelta(hours=1))
            assert taken is not None
            assert taken["message_id"] == "msg_1"
            assert webhook_rows.take(connection, 1, now(), now() + timedelta(hours=1)) is None
        first = outbox.send(shared=True)
        first.wake()
        outbox.put("msg_2", receiver.url)
        first.wake()
        assert [one.id for one in receiver.wait_for(1)] == ["msg_2"]
        outbox.send(shared=True, now=lambda: now() + timedelta(hours=2))
        assert outbox.wait_settled(commits, "msg_1")["attempts"] == 1


def test_the_delays_double_from_5_seconds_to_an_hour() -> None:
    for _ in range(100):
        delays = [backoff(attempts).total_seconds() for attempts in range(1, MAX_ATTEMPTS)]
        assert 4.5 <= delays[0] <= 6
        assert max(delays) <= 3600
        assert all(before < after for before, after in pairwise(delays[:-1]))
        assert 3600 < sum(delays) < 4 * 3600


# Slow receivers


def test_a_slow_receiver_holds_up_nobody_else(outbox: Outbox, commits: Commits) -> None:
    with receiving() as slow, receiving() as quick:
        slow.answering.clear()
        for number in range(20):
            outbox.put(f"msg_slow_{number}", slow.url)
        outbox.put("msg_quick", quick.url)
        outbox.send()
        assert [one.id for one in quick.wait_for(1)] == ["msg_quick"]
        assert len(slow.received) <= sender_module.AT_ONCE_EACH
        slow.answering.set()
        for number in range(20):
            outbox.wait_settled(commits, f"msg_slow_{number}")
        assert sorted(one.id for one in slow.received) == sorted(f"msg_slow_{number}" for number in range(20))


def test_the_next_is_sent_at_once_when_one_is_and_only_what_is_new_waits(
    outbox: Outbox, commits: Commits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_module, "ASIDE_SECONDS", 2 * TIMEOUT)
    with receiving() as quick:
        outbox.put_many(20, quick.url)
        outbox.send()
        for number in range(20):
            outbox.wait_settled(commits, f"msg_many_{number}")


def test_an_attempt_ends_when_its_time_is_over(outbox: Outbox, commits: Commits) -> None:
    with receiving() as receiver:
        receiver.answering.clear()
        outbox.put("msg_1", receiver.url)
        outbox.send(backoff=IN_A_DAY, seconds_each=0.2)
        row = outbox.wait_attempted(commits, "msg_1")
        assert row["last_error"] == "Aborted: no complete answer within the time for it"


# Restarts


def test_a_restart_loses_none(make_app: Callable[..., Flask], gated: Gated, receiver: Receiver) -> None:
    gated.gate.open()
    receiver.answering.clear()
    app = make_app(webhook_allow_private=True)
    job = submit(app, receiver.url)
    receiver.wait_for(1)
    before = monotonic()
    services_of(app).close()
    assert monotonic() - before < 2, "the sender did not stop at once"
    receiver.answering.set()
    app = make_app(webhook_allow_private=True)
    first, second = receiver.wait_for(2)
    assert first.id == second.id == webhooks_of(app, job)[0]["id"]
    assert first.body == second.body


def test_what_failed_before_a_restart_is_sent_after_it(
    make_app: Callable[..., Flask], gated: Gated, commits: Commits
) -> None:
    gated.gate.open()
    with receiving(500) as receiver:
        app = make_app(webhook_allow_private=True)
        job = submit(app, receiver.url)
        commits.wait_for(lambda: bool(hooks := webhooks_of(app, job)) and hooks[0]["attempts"] == 1, "an attempt")
        services_of(app).close()
        database = Database(services_of(app).settings.url)
        with database.write() as connection:
            connection.execute(update(webhooks).values(next_at=webhooks.c.created_at))
        database.close()
        make_app(webhook_allow_private=True)
        first, second = receiver.wait_for(2)
        assert first.id == second.id


def test_a_transition_that_is_rolled_back_leaves_no_message(app: Flask, gated: Gated, receiver: Receiver) -> None:
    job = submit(app, receiver.url)
    gated.gate.wait_reached(1)
    job = services_of(app).jobs.get(job.id)
    database = Database(services_of(app).settings.url)
    with database.connect() as connection:
        assert transition(connection, job, State.FAILED, who="Ann", at=now(), error="no")
        assert len(webhook_rows.of_job(connection, job.key, 0, 10)) == 1
        connection.rollback()
    database.close()
    assert webhooks_of(app, job) == []


# Where it may go

PRIVATE = [
    "http://127.0.0.1/",
    "http://localhost/",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.1.1/",
    "http://100.64.0.1/",
    "http://169.254.169.254/latest/meta-data",
    "http://0.0.0.0/",
    "http://224.0.0.1/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://[::1]/",
    "http://[::]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::127.0.0.1]/",
    "http://[fe80::1]/",
    "http://[fec0::1]/",
    "http://[fd00::1]/",
    "http://[ff0e::1]/",
    "http://[2002:7f00:1::1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.1/",
    "http://0177.0.0.1/",
    "http://127.1/",
]


@pytest.mark.parametrize("url", PRIVATE)
def test_private_addresses_are_refused_at_creation(url: str) -> None:
    with pytest.raises(InvalidParameter, match=r"callback_url: must be an http:// or https:// URL to a public address"):
        check_callback(url, allow_private=False)


@pytest.mark.parametrize("url", PRIVATE)
def test_private_addresses_are_refused_at_sending(url: str) -> None:
    with pytest.raises(AddressRefused):
        Post().send(url, b"{}", {}, ssl.create_default_context(), allow_private=False)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "ftp://example.com/",
        "file:///etc/passwd",
        "http://",
        "http:///path",
        "http://ann:secret@example.com/",
        "http://ann@example.com/",
        "http://example.com\\@127.0.0.1/",
        "http://example.com:99999/",
        "http://example.com:0/",
        "http://example.com/a b",
        "http://example.com/\r\nX: y",
        "http://exämple.com/",
        "http://[::1",
        "http://[fe80::1%25eth0]/",
        "http://example.com/" + "x" * 2000,
        17,
        ["http://example.com/"],
    ],
)
def test_what_is_no_usable_url_is_refused_even_where_private_addresses_are_not(url: object) -> None:
    with pytest.raises(InvalidParameter, match="callback_url"):
        check_callback(url, allow_private=True)


@pytest.mark.parametrize("url", ["http://8.8.8.8/", "https://1.1.1.1:8443/hook?a=b", "http://[2606:4700::1111]/"])
def test_public_addresses_are_accepted(url: str) -> None:
    check_callback(url, allow_private=False)


def test_private_addresses_are_accepted_where_that_was_said() -> None:
    check_callback("http://127.0.0.1:9/hook", allow_private=True)


def answers(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Have every name resolve to these addresses. Returns the list of the names that are asked for."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["8.8.8.8", "::1"]])
def test_a_name_with_any_private_address_is_refused(addresses: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, *addresses)
    with pytest.raises(InvalidParameter, match="which is not a public address"):
        check_callback("http://receiver.test/", allow_private=False)


def test_a_name_that_moves_to_a_private_address_later_is_not_sent_to(
    outbox: Outbox, commits: Commits, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, "8.8.8.8")
    url = f"http://receiver.test:{receiver.port}/"
    check_callback(url, allow_private=False)
    answers(monkeypatch, "127.0.0.1")
    outbox.put("msg_1", url)
    outbox.send(allow_private=False, backoff=IN_A_DAY)
    row = outbox.wait_attempted(commits, "msg_1")
    assert row["last_error"] == "Refused: receiver.test is at 127.0.0.1, which is not a public address"
    assert receiver.received == []


def test_the_address_that_was_checked_is_the_one_that_is_connected_to(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answers(monkeypatch, "127.0.0.1")
    status = Post().send(
        f"http://receiver.test:{receiver.port}/a?b=c", b"{}", {}, ssl.create_default_context(), allow_private=True
    )
    assert status == 204
    assert asked == ["receiver.test"]
    (received,) = receiver.received
    assert received.path == "/a?b=c"
    assert received.headers["host"] == f"receiver.test:{receiver.port}"


def test_the_next_address_is_tried_when_one_does_not_answer(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, "127.0.0.2", "127.0.0.1")
    tls = ssl.create_default_context()
    assert Post().send(f"http://receiver.test:{receiver.port}/", b"{}", {}, tls, allow_private=True) == 204


def test_with_tls_the_name_is_verified_at_the_pinned_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=receiver.test"
    names = ["-addext", "subjectAltName=DNS:receiver.test", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    trusting = ssl.create_default_context(cafile=str(certificate))
    answers(monkeypatch, "127.0.0.1")
    with receiving(tls=server) as receiver:
        url = f"https://receiver.test:{receiver.port}/"
        assert Post().send(url, b"{}", {}, trusting, allow_private=True) == 204
        with pytest.raises(ssl.SSLCertVerificationError):
            Post().send(url.replace("receiver", "other"), b"{}", {}, trusting, allow_private=True)
        with pytest.raises(ssl.SSLCertVerificationError):
            Post().send(url, b"{}", {}, ssl.create_default_context(), allow_private=True)
        assert len(receiver.received) == 1


def test_a_post_over_tls_can_be_aborted(tmp_path: Path) -> None:
    """Also before the handshake, with a receiver that accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        outcome: list[BaseException] = []
        post, done = Post(), Event()

        def send() -> None:
            try:
                url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
                post.send(url, b"{}", {}, ssl.create_default_context(), allow_private=True)
            except OSError as error:
                outcome.append(error)
            done.set()

        Thread(target=send, daemon=True).start()
        accepted, _ = silent.accept()
        accepted.recv(1)
        post.abort()
        assert done.wait(5)
        assert "no complete answer" in str(outcome[0])
        accepted.close()


def test_the_port_of_the_scheme_is_left_out_and_the_path_is_whole() -> None:
    target = parse("HTTPS://Example.COM?x=1#fragment")
    assert (target.scheme, target.host, target.port, target.path) == ("https", "example.com", 443, "/?x=1")


def test_is_public_says_no_to_what_is_no_address() -> None:
    assert not is_public("example.com")
    assert not is_public("fe80::1%eth0")
    assert resolve(parse("http://8.8.8.8/"), allow_private=False) == ["8.8.8.8"]


def test_a_request_that_names_a_private_callback_is_a_400(make_app: Callable[..., Flask]) -> None:
    client = make_app().test_client()
    body = {"from": "2018-07-01", "to": "2018-07-02", "callback_url": "http://169.254.169.254/"}
    answer = client.post("/exportData", json=body)
    assert answer.status_code == 400
    assert answer.get_json()["errorType"] == "invalid_callback_url"
    assert "169.254.169.254" in answer.get_json()["message"]
    assert client.get("/jobs").get_json()["jobs"] == []


def test_the_settings_are_read() -> None:
    environ = {"JOBSVC_WEBHOOK_SECRET": SECRET, "JOBSVC_WEBHOOK_ALLOW_PRIVATE": "1"}
    settings = Settings.load(environ, dotenv=None)
    assert load_key(settings.webhook_secret, Path("unused")) == KEY
    assert settings.webhook_allow_private
