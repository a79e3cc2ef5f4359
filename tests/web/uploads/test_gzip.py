"""Uploads that are packed with gzip: recognised by their first bytes, unpacked as they come."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from jobsvc.jobs.states import State
from jobsvc.runs import runner
from jobsvc.web.services import Services
from tests.support.flights import data_dir
from tests.support.gated import Gate, gated_checkpoints
from tests.support.requests import CSV, part, send, whole
from tests.support.stores import BOTH, LOCAL, stored
from tests.support.waiting import wait_for

pytestmark = pytest.mark.stores(*BOTH)

MIB = 1024 * 1024


@pytest.fixture
def gate() -> Iterator[Gate]:
    with gated_checkpoints() as gate:
        yield gate


def send_file(client: FlaskClient, content: bytes, name: str = "x.csv.gz", **fields: str) -> tuple[int, dict[str, str]]:
    form = [part(field, text.encode()) for field, text in fields.items()]
    answer = send(client, whole(*form, part("file", content, name)))
    assert isinstance(answer.json, dict)
    return answer.status_code, answer.json


def files(services: Services) -> list[str]:
    return sorted(stored(services.files))


@pytest.mark.in_one_app
@pytest.mark.parametrize("name", ["x.csv.gz", "x.csv", "", "x.zip"])
@pytest.mark.parametrize("level", [0, 9])
def test_a_gzip_file_is_unpacked_whatever_its_name(
    client: FlaskClient, services: Services, name: str, level: int
) -> None:
    # A part without a file name would be a form field.
    status, answer = send_file(client, gzip.compress(CSV, level), name or "-")
    assert status == 200
    job_id = answer["Job ID"]
    assert stored(services.files)[f"{job_id}.input"] == CSV
    assert (wait_for(services, job_id, State.SUCCEEDED).done, services.jobs.get(job_id).filename) == (2, name or "-")


@pytest.mark.parametrize("content", [b"\x1f", b"\x1e\x1f,n\n1,2\n", b"n\n\x1f\x8b\n"])
def test_a_file_that_is_not_gzip_stays_as_it_is_whatever_its_name(
    client: FlaskClient, services: Services, content: bytes
) -> None:
    status, answer = send_file(client, content)
    assert status == 200
    assert stored(services.files)[f"{answer['Job ID']}.input"] == content


@pytest.mark.parametrize("padding", [b"", b"\0" * 512])
def test_members_are_unpacked_one_after_the_other(client: FlaskClient, services: Services, padding: bytes) -> None:
    packed = gzip.compress(CSV[:10]) + gzip.compress(b"") + gzip.compress(CSV[10:]) + padding
    status, answer = send_file(client, packed)
    assert status == 200
    assert stored(services.files)[f"{answer['Job ID']}.input"] == CSV


def test_a_large_file_with_members_across_reads_is_unpacked_right(client: FlaskClient, services: Services) -> None:
    content = (data_dir() / "weather.csv").read_bytes()
    size = len(content) // 50 + 1
    packed = b"".join(gzip.compress(content[at : at + size], 1) for at in range(0, len(content), size))
    status, answer = send_file(client, packed)
    assert status == 200
    identical = stored(services.files)[f"{answer['Job ID']}.input"] == content
    assert identical


PACKED = gzip.compress(CSV)


@pytest.mark.in_one_app
@pytest.mark.parametrize("end", range(2, len(PACKED)))
def test_a_truncated_file_is_refused_wherever_it_ends(client: FlaskClient, services: Services, end: int) -> None:
    status, answer = send_file(client, PACKED[:end])
    assert (status, answer["errorType"]) == (400, "File not accepted")
    assert answer["message"] == "the gzip file ends too early"
    assert files(services) == []


@pytest.mark.in_one_app
@pytest.mark.parametrize(
    ("damaged", "why"),
    [
        pytest.param(PACKED[:-8] + bytes(byte ^ 1 for byte in PACKED[-8:-4]) + PACKED[-4:], "damaged", id="CRC"),
        pytest.param(PACKED[:-4] + bytes(byte ^ 1 for byte in PACKED[-4:]), "damaged", id="size"),
        pytest.param(PACKED[:2] + b"\x07" + PACKED[3:], "damaged", id="method"),
        pytest.param(PACKED[:12] + b"\xff\xff\xff\xff" + PACKED[16:], "damaged", id="data"),
        pytest.param(PACKED + b"rubbish", "damaged", id="rubbish behind it"),
        pytest.param(PACKED + PACKED[:5], "ends too early", id="a second member that ends early"),
        pytest.param(PACKED + b"\0\0" + b"xy", "damaged", id="rubbish behind the padding"),
        pytest.param(gzip.compress(b""), "empty", id="nothing in it"),
    ],
)
def test_a_damaged_file_is_refused(client: FlaskClient, services: Services, damaged: bytes, why: str) -> None:
    status, answer = send_file(client, damaged)
    assert (status, answer["errorType"]) == (400, "File not accepted")
    assert why in answer["message"]
    assert files(services) == []
    assert client.get("/jobs").get_json()["jobs"] == []


def test_the_limit_counts_what_is_unpacked(make_app: Callable[..., Flask]) -> None:
    app = make_app(max_upload_bytes=10_000)
    services: Services = app.extensions["jobsvc"]
    fits, too_large = b"n\n" + b"1" * 9_997 + b"\n", b"n\n" + b"1" * 9_998 + b"\n"
    status, answer = send_file(app.test_client(), gzip.compress(too_large))
    assert (status, answer["errorType"]) == (413, "file_too_large")
    assert "10000 bytes" in answer["message"]
    assert files(services) == []
    assert send_file(app.test_client(), gzip.compress(fits))[0] == 200


@pytest.mark.stores(LOCAL)
def test_a_file_that_unpacks_to_far_too_much_takes_little_memory_and_leaves_nothing(
    make_app: Callable[..., Flask],
) -> None:
    app = make_app(max_upload_bytes=20 * MIB)
    services: Services = app.extensions["jobsvc"]
    bomb = gzip.compress(b"0" * 400 * MIB, 9)
    assert len(bomb) < MIB
    client = app.test_client()
    tracemalloc.start()
    try:
        answer = send_file(client, bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (answer[0], answer[1]["errorType"]) == (413, "file_too_large")
    assert peak < 8 * MIB
    assert files(services) == []


def test_a_packed_upload_is_paused_and_resumed_as_any_other(
    client: FlaskClient, services: Services, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "BATCH_ITEMS", 4000)
    monkeypatch.setattr(runner, "BATCHES_ALONE", 1)
    content = b"date,n\n" + b"".join(b"2026-01-01,%d\n" % number for number in range(9000))
    status, answer = send_file(client, gzip.compress(content))
    assert status == 200
    job_id = answer["Job ID"]
    gate.open(1)
    gate.wait_reached(2)
    assert client.post(f"/jobs/{job_id}/pause?wait=0").status_code == 202
    gate.open(1)
    paused = wait_for(services, job_id, State.PAUSED)
    assert 0 < paused.done < 9000
    gate.open()
    client.post(f"/jobs/{job_id}/resume")
    done = wait_for(services, job_id, State.SUCCEEDED)
    assert (done.done, done.failed, done.attempt) == (9000, 0, 2)
    assert client.get(f"/jobs/{job_id}/unprocessed").data == b"date,n\n"
