"""What a job has left over is given back as its kind says, and as CSV where the kind says nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from flask import Flask

from jobsvc.jobs.errors import InvalidParameter
from jobsvc.jobs.states import State
from jobsvc.kinds import Item, KindParams, Refusal, Refused, RowKind, Source
from jobsvc.kinds.contract import BadParameter, Cursor, JobContext, KnownJobs
from jobsvc.process.app import create_app
from jobsvc.service.new_job import NewJob, checked
from jobsvc.settings import Settings
from jobsvc.web.services import Services
from tests.support.waiting import wait_for


class EvenParams(KindParams):
    like: str | None = None
    """Another job."""


class AsJson:
    """Refused items as lines of JSON."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.params = params

    def head(self) -> bytes:
        return json.dumps(self.params).encode() + b"\n"

    def refused(self, refusal: Refusal) -> Iterator[bytes]:
        yield json.dumps([refusal.item, refusal.error]).encode()
        yield b"\n"

    def unprocessed(self, cursor: Cursor | None) -> Iterator[bytes]:
        yield b""


class Even(RowKind):
    """Refuses odd numbers."""

    name, takes_file = "even", False
    Params = EvenParams

    def source(self, context: JobContext, after: Any) -> Source:
        return Source(((number, number) for number in range(after or 0, 4)), 4)

    def process(self, row: int, item: Item) -> None:
        if row % 2:
            raise Refused(f"{row} is odd")

    def check_jobs(self, params: EvenParams, jobs: KnownJobs) -> None:
        if params.like is not None and not jobs.existed(params.like):
            raise BadParameter("like", "there is none like it")


class EvenAsJson(Even):
    name = "even_as_json"

    def left_over(self, params: Mapping[str, Any], file: BinaryIO | None, columns: Sequence[str]) -> AsJson:
        assert file is None
        assert columns == []
        return AsJson(params)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    app = create_app(
        Settings(data_dir=tmp_path / "data", min_free_bytes=0), own_process=False, extra_kinds=[Even(), EvenAsJson()]
    )
    yield app
    app.extensions["jobsvc"].close()


@pytest.fixture
def services(app: Flask) -> Services:
    found = app.extensions["jobsvc"]
    assert isinstance(found, Services)
    return found


def submit(services: Services, kind: str, **params: str) -> str:
    found = checked(services.kinds[kind], params, None, services.results)
    return services.jobs.submit(NewJob(services.jobs.new_id("Ann", kind), kind, "Ann", found.params)).id


@pytest.mark.parametrize(
    ("kind", "given_back"),
    [
        ("even", b"_line,_error\n2,1 is odd\n4,3 is odd\n"),
        ("even_as_json", b'{}\n[2, "1 is odd"]\n[4, "3 is odd"]\n'),
    ],
)
def test_refused_items_are_given_back_as_their_kind_says(services: Services, kind: str, given_back: bytes) -> None:
    job = wait_for(services, submit(services, kind), State.SUCCEEDED)
    assert b"".join(services.left_over.failed(job)) == given_back


def test_a_kind_is_asked_about_the_jobs_that_its_parameters_name(services: Services) -> None:
    first = submit(services, "even")
    second = submit(services, "even", like=first)
    assert wait_for(services, second, State.SUCCEEDED).params == {"like": first}
    with pytest.raises(InvalidParameter, match="like: there is none like it"):
        submit(services, "even", like="nobody")
