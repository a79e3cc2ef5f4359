from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

from jobsvc.files.local.files import LocalFiles
from jobsvc.kinds.builtin import create_export, export_columns
from jobsvc.store.queries import record_places
from jobsvc.web.services import Services
from tests.support.api import Api
from tests.support.gated import Gate
from tests.support.stores import BOTH, keep, lose, stored

pytestmark = pytest.mark.both_databases
on_all_stores = pytest.mark.stores(*BOTH)


def unfinished(services: Services, job_id: str) -> list[str]:
    """The names of the parts of a job's output, in order."""
    parts = [name for name in stored(services.files) if name.startswith(job_id) and name.endswith(".part")]
    return sorted(parts, key=lambda name: int(name.rpartition("/")[2].partition("-")[0]))


def exported(api: Api, job_id: str) -> list[list[str]]:
    api.succeeded(job_id)
    return list(csv.reader(io.StringIO(api.get_text(f"/jobs/{job_id}/result"), newline="")))


@pytest.fixture
def first(api: Api) -> str:
    job_id = api.upload("date,a,b\n2026-01-01,a1,b1\n2026-01-02,a2,b2\n2026-01-03,a3,b3\n2026-01-01,a4,b4\n")
    api.succeeded(job_id)
    return job_id


@pytest.fixture
def second(api: Api, first: str) -> str:
    job_id = api.upload("c,date,a\nc1,2026-01-02,A1\nc2,2026-01-03,A2\n")
    api.succeeded(job_id)
    return job_id


@on_all_stores
def test_both_dates_are_included_and_records_come_by_date_then_job_then_row(api: Api, first: str, second: str) -> None:
    assert exported(api, api.export("2026-01-01", "2026-01-02")) == [
        ["_job_id", "_row", "_date", "date", "a", "b", "c"],
        [first, "1", "2026-01-01", "2026-01-01", "a1", "b1", ""],
        [first, "4", "2026-01-01", "2026-01-01", "a4", "b4", ""],
        [first, "2", "2026-01-02", "2026-01-02", "a2", "b2", ""],
        [second, "1", "2026-01-02", "2026-01-02", "A1", "", "c1"],
    ]


def test_from_may_equal_to(api: Api, first: str) -> None:
    job_id = api.export("2026-01-03", "2026-01-03")
    assert [row[1] for row in exported(api, job_id)[1:]] == ["3"]
    progress = api.job(job_id)["progress"]
    assert (progress["done"], progress["percent"]) == (1, 100)


def test_only_jobs_with_records_in_the_range_bring_columns(api: Api, first: str, second: str) -> None:
    assert exported(api, api.export("2026-01-01", "2026-01-01"))[0] == ["_job_id", "_row", "_date", "date", "a", "b"]


def test_columns_come_in_order_of_first_appearance(api: Api) -> None:
    for header in ("z,y", "y,x,z", "x,w"):
        api.succeeded(api.upload(f"{header},date\n" + "1," * header.count(",") + "1,2026-01-01\n"))
    assert exported(api, api.export("2026-01-01", "2026-01-01"))[0] == [
        *["_job_id", "_row", "_date"],
        *["z", "y", "date", "x", "w"],
    ]


def test_an_export_may_be_of_one_job(api: Api, first: str, second: str) -> None:
    assert exported(api, api.export("2026-01-01", "2026-12-31", job=second)) == [
        ["_job_id", "_row", "_date", "c", "date", "a"],
        [second, "1", "2026-01-02", "c1", "2026-01-02", "A1"],
        [second, "2", "2026-01-03", "c2", "2026-01-03", "A2"],
    ]


def test_a_range_without_records_makes_a_header_alone(api: Api, first: str) -> None:
    assert exported(api, api.export("1999-01-01", "1999-12-31")) == [["_job_id", "_row", "_date"]]


def test_the_calendar_s_ends_can_be_exported(api: Api) -> None:
    api.succeeded(api.upload("date,n\n0001-01-01,1\n9999-12-31,2\n"))
    assert [row[1] for row in exported(api, api.export("9999-12-30", "9999-12-31"))[1:]] == ["2"]
    assert [row[1] for row in exported(api, api.export("0001-01-01", "0001-01-01"))[1:]] == ["1"]


@pytest.mark.parametrize(
    "field", ["lone\rreturn", "new\nline", "both\r\nof them", 'quo"te', "com,ma", "'", " x ", "é\u2028"]
)
def test_what_was_uploaded_can_be_read_from_the_export_again(api: Api, field: str) -> None:
    out = io.StringIO(newline="")
    csv.writer(out).writerows([["date", "field", "last"], ["2026-01-01", field, "end"]])
    api.succeeded(api.upload(out.getvalue()))
    assert exported(api, api.export("2026-01-01", "2026-01-01"))[1][3:] == ["2026-01-01", field, "end"]


@pytest.mark.parametrize("count", [1999, 2000, 2001, 4001])
def test_a_date_may_have_more_records_than_are_read_at_a_time(api: Api, count: int) -> None:
    api.succeeded(api.upload("date,n\n" + "".join(f"2026-01-01,{number}\n" for number in range(count))))
    rows = exported(api, api.export("2026-01-01", "2026-01-01"))[1:]
    assert [row[4] for row in rows] == [str(number) for number in range(count)]


class Stops:
    """A gate before each query for records, and a checkpoint after every date if `checkpoints`."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.gate = Gate()
        self._patch = patch
        query = create_export._Export._records_of

        def gated(export: Any, *arguments: Any) -> list[tuple[int, int, str]]:
            self.gate.pass_through()
            return query(export, *arguments)

        patch.setattr(create_export._Export, "_records_of", gated)

    def checkpoint_each_date(self) -> None:
        self._patch.setattr(create_export, "SECONDS_BETWEEN_CHECKPOINTS", -1)

    def read_at_a_time(self, count: int) -> None:
        self._patch.setattr(create_export, "RECORDS_AT_A_TIME", count)


@pytest.fixture
def stops(monkeypatch: pytest.MonkeyPatch, first: str, second: str) -> Iterator[Stops]:
    """The gate is built after the records are there. It is opened before the application is closed."""
    stops = Stops(monkeypatch)
    yield stops
    stops.gate.open()


def pause_at(api: Api, job_id: str, stops: Stops, queries: int) -> Any:
    """Pause a job that has begun its `queries`-th query, and let it finish that."""
    stops.gate.wait_reached(queries)
    assert api.post(f"/jobs/{job_id}/pause?wait=0")[0] == 202
    stops.gate.open(1)
    return api.wait_for(job_id, "paused")


WHOLE = ["1", "4", "2", "1", "3", "2"]


@on_all_stores
def test_a_paused_export_goes_on_where_it_stopped(api: Api, stops: Stops) -> None:
    job_id = api.export("2026-01-01", "2026-01-03")
    stops.gate.open(1)
    job = pause_at(api, job_id, stops, 2)
    assert job["progress"]["done"] == 2
    assert job["progress"]["percent"] == pytest.approx(66.7)
    stops.gate.open(1)
    api.post(f"/jobs/{job_id}/resume")
    assert [row[1] for row in exported(api, job_id)[1:]] == WHOLE
    assert stops.gate.reached == 3


@on_all_stores
def test_a_stop_within_a_long_date_leaves_it_undone_and_resume_writes_it_once(
    api: Api, services: Services, stops: Stops
) -> None:
    stops.read_at_a_time(1)
    job_id = api.export("2026-01-01", "2026-01-03")
    # 2026-01-01 takes three queries; the stop comes at the second of 2026-01-02.
    stops.gate.open(4)
    job = pause_at(api, job_id, stops, 5)
    assert job["progress"]["done"] == 1
    written = b"".join(stored(services.files).values())
    assert written.count(b"2026-01-02,") > 2, "nothing of the broken off date was written: no test"
    stops.gate.open()
    api.post(f"/jobs/{job_id}/resume")
    assert [row[1] for row in exported(api, job_id)[1:]] == WHOLE


@on_all_stores
def test_resume_cuts_the_file_to_what_the_checkpoint_vouches_for(api: Api, services: Services, stops: Stops) -> None:
    job_id = api.export("2026-01-01", "2026-01-03")
    pause_at(api, job_id, stops, 1)
    (name,) = unfinished(services, job_id)
    keep(services.files, name, stored(services.files)[name] + b"written, but never counted\n" * 1000)
    stops.gate.open()
    api.post(f"/jobs/{job_id}/resume")
    assert [row[1] for row in exported(api, job_id)[1:]] == WHOLE


@on_all_stores
def test_an_export_goes_on_in_another_process_s_place(
    make_app: Callable[..., Flask], commits: Any, app: Flask, api: Api, services: Services, stops: Stops
) -> None:
    stops.checkpoint_each_date()
    job_id = api.export("2026-01-01", "2026-01-03")
    stops.gate.open(1)
    pause_at(api, job_id, stops, 2)
    services.close()
    stops.gate.open()
    again = Api(make_app(), commits)
    again.post(f"/jobs/{job_id}/resume")
    assert [row[1] for row in exported(again, job_id)[1:]] == WHOLE


def test_records_that_come_later_do_not_change_the_columns_of_an_export_under_way(api: Api, stops: Stops) -> None:
    job_id = api.export("2026-01-01", "2026-01-03")
    pause_at(api, job_id, stops, 1)
    late = api.upload("date,new\n2026-01-02,n\n")
    api.succeeded(late)
    stops.gate.open()
    api.post(f"/jobs/{job_id}/resume")
    rows = exported(api, job_id)
    assert rows[0][3:] == ["date", "a", "b", "c"]
    assert [row[1] for row in rows[1:]] == WHOLE


@on_all_stores
def test_an_unfinished_file_that_is_gone_fails_the_job_and_says_so(api: Api, services: Services, stops: Stops) -> None:
    job_id = api.export("2026-01-01", "2026-01-03")
    pause_at(api, job_id, stops, 1)
    (name,) = unfinished(services, job_id)
    lose(services.files, name)
    api.post(f"/jobs/{job_id}/resume")
    job = api.wait_for(job_id, "failed", "succeeded")
    assert job["state"] == "failed"
    assert job["error"] == "the unfinished export file is gone"


@on_all_stores
def test_a_file_that_was_published_before_the_success_was_recorded_is_taken_up_again(
    api: Api, services: Services, stops: Stops
) -> None:
    job_id = api.export("2026-01-01", "2026-01-03")
    stops.gate.open(2)
    pause_at(api, job_id, stops, 3)
    (name,) = unfinished(services, job_id)
    if isinstance(services.files, LocalFiles):
        keep(services.files, f"{job_id}.output/result.1", stored(services.files)[name])
        lose(services.files, name)
    else:
        keep(services.files, f"{job_id}.output/result.1", b"complete")
    api.post(f"/jobs/{job_id}/resume")
    assert [row[1] for row in exported(api, job_id)[1:]] == WHOLE
    # Whoever waits for the success may see it before the run has cleared up.
    services.close()
    assert [name for name in stored(services.files) if job_id in name] == [f"{job_id}.output/result.2"]


@on_all_stores
@pytest.mark.parametrize("pause_first", [False, True])
def test_a_terminated_export_leaves_no_file(api: Api, services: Services, stops: Stops, pause_first: bool) -> None:
    job_id = api.export("2026-01-01", "2026-01-03")
    if pause_first:
        pause_at(api, job_id, stops, 1)
        assert api.post(f"/jobs/{job_id}/terminate")[0] == 200
    else:
        stops.gate.wait_reached(1)
        assert api.post(f"/jobs/{job_id}/terminate?wait=0")[0] == 202
        stops.gate.open()
        api.wait_for(job_id, "terminated")
    # The run's thread removes the file after its last commit; closing waits for the thread.
    services.close()
    assert [name for name in stored(services.files) if job_id in name] == []


def test_a_stop_is_obeyed_while_an_export_looks_for_its_columns_and_a_resume_looks_again(
    api: Api, first: str, second: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    step = export_columns.next_step

    def gated(*arguments: Any, **more: Any) -> record_places.Step:
        gate.pass_through()
        return step(*arguments, **more)

    monkeypatch.setattr(export_columns, "next_step", gated)
    monkeypatch.setattr(record_places, "ENTRIES_AT_A_TIME", 1)
    job_id = api.export("2026-01-01", "2026-01-03")
    gate.open(1)
    gate.wait_reached(2)
    assert api.post(f"/jobs/{job_id}/pause?wait=0")[0] == 202
    gate.open(1)
    assert api.wait_for(job_id, "paused")["progress"]["done"] == 0
    assert gate.reached == 2
    gate.open()
    api.post(f"/jobs/{job_id}/resume")
    rows = exported(api, job_id)
    assert rows[0] == ["_job_id", "_row", "_date", "date", "a", "b", "c"]
    assert [row[1] for row in rows[1:]] == WHOLE


def test_a_resumed_export_does_not_look_for_its_columns_again(
    api: Api, stops: Stops, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = api.export("2026-01-01", "2026-01-03")
    stops.gate.open(1)
    pause_at(api, job_id, stops, 2)
    monkeypatch.setattr(export_columns, "next_step", None)
    stops.gate.open()
    api.post(f"/jobs/{job_id}/resume")
    assert [row[1] for row in exported(api, job_id)[1:]] == WHOLE


def test_an_export_uploaded_again_and_exported_again_is_the_same_but_for_the_job(api: Api) -> None:
    """Whatever its columns are called, and whatever stands in them."""
    out = io.StringIO(newline="")
    rows = [["7", "2026-01-01", "x", ' "a, b"\r\n', "-1"], ["", "2026-01-01T1", "=1+1", "'q'", ""]]
    csv.writer(out).writerows([["row", "date", "job_id", "_job_id", "a"], *rows])
    first = api.upload(out.getvalue() + '"",2026-01-01,"","",""\n')
    assert api.succeeded(first)["progress"]["done"] == 3
    export = api.get_text(f"/jobs/{_made(api, first)}/result")
    second = api.upload(export)
    assert api.succeeded(second)["warnings"] == []
    again = api.get_text(f"/jobs/{_made(api, second)}/result")
    assert again == export.replace(first, second)
    assert export.splitlines()[0] == "_job_id,_row,_date,row,date,job_id,_job_id_2,a"


def _made(api: Api, job_id: str) -> str:
    export = api.export("2026-01-01", "2026-01-01", job=job_id)
    api.succeeded(export)
    return export


def test_an_export_for_a_spreadsheet_is_marked_and_has_no_formulas(api: Api) -> None:
    api.succeeded(api.upload('date,=x,b\n2026-01-01,=1+1,-5\n2026-01-01,@cmd,-5+1\n2026-01-01,"\tx","+1,5"\n'))
    export = api.export("2026-01-01", "2026-01-01", for_spreadsheet=True)
    api.succeeded(export)
    text = api.get_text(f"/jobs/{export}/result")
    assert text.startswith("\ufeff_job_id,_row,_date,date,'=x,b")
    assert [row[4:] for row in csv.reader(io.StringIO(text, newline=""))][1:] == [
        ["'=1+1", "-5"],
        ["'@cmd", "'-5+1"],
        ["'\tx", "+1,5"],
    ]
