"""What every store of files does, and how an output comes together whatever dies or wakes up late."""

from __future__ import annotations

import gc
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from jobsvc.files.contract import Files, Output
from jobsvc.files.local import output as local_output
from jobsvc.files.local.files import LocalFiles
from jobsvc.files.remote import output as remote_output
from jobsvc.files.remote import store as remote_store
from jobsvc.store.errors import FilesDown, OutputLost
from tests.support.fake_remote import FakeRemote, down
from tests.support.stores import ALL, FAKE, LOCAL, S3, keep, lose, opened, stored


@pytest.fixture
def files(files_url: str, tmp_path: Path) -> Files:
    return opened(files_url, tmp_path)


@pytest.fixture
def elsewhere(files_url: str, tmp_path: Path) -> Files:
    """The same store, as another machine sees it."""
    return opened(files_url, tmp_path)


all_stores = pytest.mark.stores(*ALL)
remote_stores = pytest.mark.stores(FAKE, S3)


def fill(files: Files, job_id: str) -> list[str]:
    names = [f"{job_id}.input", f"{job_id}.output/0-1.part", f"{job_id}.output/result.1"]
    for name in names:
        keep(files, name, b"x")
    return names


def receive(files: Files, job_id: str, data: bytes) -> None:
    new = files.create_input(job_id)
    new.write(data)
    new.commit()
    new.abort()


def written(output: Output, *pieces: bytes) -> dict[str, object]:
    """Write and flush; returns the mark of a checkpoint right behind."""
    for piece in pieces:
        output.write(piece)
    output.flush()
    return output.mark(output.tell())


def result_of(files: Files, attempt: int) -> bytes | None:
    result = files.result("a", attempt)
    if result is None:
        return None
    with files.open_result(result) as file:
        data = file.read()
    assert result.size == len(data)
    return data


# Inputs.


@all_stores
def test_an_input_is_there_once_it_is_committed_and_can_be_read_from_anywhere(files: Files) -> None:
    data = Random(1).randbytes(300_000)
    receive(files, "a", data)
    assert stored(files) == {"a.input": data}
    with files.open_input("a", ahead=1000) as file:
        assert file.seek(0, os.SEEK_END) == len(data)
        for offset in (299_990, 0, 150_000, 149_000):
            file.seek(offset)
            assert file.read(5000) == data[offset : offset + 5000]
            assert file.tell() == min(offset + 5000, len(data))
    with files.uploaded("a").open("rb") as file:
        assert file.read(10) == data[:10]


@all_stores
def test_an_input_is_created_once(files: Files) -> None:
    receive(files, "a", b"first")
    with pytest.raises(FileExistsError):
        files.create_input("a")
    assert stored(files) == {"a.input": b"first"}


@all_stores
def test_an_input_that_is_not_there_is_not_found(files: Files) -> None:
    with pytest.raises(FileNotFoundError):
        files.open_input("a")


@pytest.mark.stores(LOCAL)
def test_what_is_written_to_a_local_input_is_there_at_once(files: Files) -> None:
    new = files.create_input("a")
    new.write(b"unbuffered")
    assert stored(files) == {"a.input": b"unbuffered"}
    new.abort()


@all_stores
@pytest.mark.parametrize("size", [10, 3 * 6 * 1024 * 1024])
def test_an_aborted_input_leaves_nothing_also_when_the_garbage_is_collected(
    files: Files, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_store, "PIECE_BYTES", 6 * 1024 * 1024)
    new = files.create_input("a")
    new.write(bytes(size))
    new.abort()
    del new
    gc.collect()
    assert stored(files) == {}
    assert FakeRemote.unfinished == set()
    receive(files, "a", b"after all")
    assert stored(files) == {"a.input": b"after all"}


@remote_stores
def test_a_large_input_is_sent_while_it_arrives_and_is_not_there_before_it_is_whole(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_store, "PIECE_BYTES", 6 * 1024 * 1024)
    data = Random(2).randbytes(14 * 1024 * 1024)
    new = files.create_input("a")
    for start in range(0, len(data), 256 * 1024):
        new.write(memoryview(data)[start : start + 256 * 1024])
        assert len(new._file.buffer.getbuffer()) < 7 * 1024 * 1024  # type: ignore[attr-defined]
    assert new.tell() == len(data)
    assert stored(files) == {}
    new.commit()
    assert stored(files) == {"a.input": data}


# Outputs.


@all_stores
def test_an_output_is_no_result_before_it_is_finished(files: Files) -> None:
    output = files.open_output("a", 1, None)
    written(output, b"one,")
    assert result_of(files, 1) is None
    written(output, b"two")
    output.finish()
    output.close()
    assert result_of(files, 1) == b"one,two"
    files.tidy_output("a", 1)
    assert stored(files) == {"a.output/result.1": b"one,two"}


@all_stores
def test_what_was_flushed_survives_the_death_of_a_run_and_what_was_not_counted_is_cut_off(files: Files) -> None:
    first = files.open_output("a", 1, None)
    mark = written(first, b"counted,")
    written(first, b"flushed, not counted")
    second = files.open_output("a", 2, mark)
    assert second.tell() == len(b"counted,")
    written(second, b"again")
    second.finish()
    assert result_of(files, 2) == b"counted,again"
    files.tidy_output("a", 2)
    assert stored(files) == {"a.output/result.2": b"counted,again"}


@all_stores
def test_a_checkpoint_may_count_less_than_what_was_flushed(files: Files) -> None:
    first = files.open_output("a", 1, None)
    written(first, b"0123456789")
    second = files.open_output("a", 2, first.mark(4))
    written(second, b"abc")
    third = files.open_output("a", 3, second.mark(6))
    written(third, b"XYZ")
    third.finish()
    assert result_of(files, 3) == b"0123abXYZ"


@all_stores
@pytest.mark.parametrize("then", ["the same run", "another run"])
def test_a_run_that_opens_its_output_again_goes_on_behind_what_counts(files: Files, then: str) -> None:
    first = files.open_output("a", 1, None)
    written(first, b"0123")
    written(first, b"456789")
    mark = first.mark(2)
    first.close()
    again = files.open_output("a", 1, mark)
    mark = written(again, b"AB")
    again.close()
    last = again = files.open_output("a", 1 if then == "the same run" else 2, mark)
    written(again, b"")
    written(last, b"Z")
    last.finish()
    assert result_of(files, 1 if then == "the same run" else 2) == b"01ABZ"


@all_stores
def test_opening_an_output_again_and_again_without_progress_keeps_its_mark_short(files: Files) -> None:
    mark: dict[str, object] | None = None
    for attempt in range(1, 6):
        output = files.open_output("a", attempt, mark)
        mark = written(output)
    assert mark == {"offset": 0, "stretches": [[0, 5]]}
    mark = written(files.open_output("a", 6, mark), b"x")
    for attempt in range(7, 10):
        mark = written(files.open_output("a", attempt, mark))
    assert mark == {"offset": 1, "stretches": [[0, 6], [1, 9]]}


MOMENTS = [chosen for count in (1, 2, 3, 4) for chosen in itertools.combinations(range(4), count)]


@pytest.mark.stores(LOCAL, FAKE)
@pytest.mark.parametrize("moments", MOMENTS, ids=str)
def test_a_late_run_changes_nothing_whatever_it_does_and_whenever(
    files: Files, elsewhere: Files, moments: tuple[int, ...]
) -> None:
    check_late_run(files, elsewhere, moments)


@pytest.mark.stores(S3)
@pytest.mark.parametrize("moments", [(0, 1), (0, 1, 2, 3)], ids=str)
def test_a_late_run_changes_nothing_in_s3(files: Files, elsewhere: Files, moments: tuple[int, ...]) -> None:
    check_late_run(files, elsewhere, moments)


def check_late_run(files: Files, elsewhere: Files, moments: tuple[int, ...]) -> None:
    """It was given up for dead after its checkpoint at `counted,`; a newer attempt has the job."""
    late = elsewhere.open_output("a", 1, None)
    mark = written(late, b"counted,")
    late.write(b"LATE")

    def wake(moment: int) -> None:
        if moment not in moments:
            return
        written(late, b"WRITES", bytes(100))
        if moment == moments[-1]:
            late.finish()
            late.close()

    wake(0)
    new = files.open_output("a", 2, mark)
    wake(1)
    written(new, b"one,")
    wake(2)
    written(new, b"two")
    new.finish()
    wake(3)
    assert result_of(files, 2) == b"counted,one,two"
    files.tidy_output("a", 2)
    assert stored(files) == {"a.output/result.2": b"counted,one,two"}


@all_stores
def test_a_late_run_that_finishes_after_the_job_leaves_nothing_that_counts(files: Files, elsewhere: Files) -> None:
    late = elsewhere.open_output("a", 1, None)
    mark = written(late, b"counted,")
    new = files.open_output("a", 2, mark)
    written(new, b"new")
    new.finish()
    files.tidy_output("a", 2)
    try:
        written(late, b"LATE")
        late.finish()
    except (FileNotFoundError, OutputLost):
        pass
    assert result_of(files, 2) == b"counted,new"
    files.remove("a")
    assert stored(files) == {}


@all_stores
def test_a_late_run_that_has_finished_is_gone_on_with_at_the_checkpoint_and_not_at_its_end(
    files: Files, elsewhere: Files
) -> None:
    late = elsewhere.open_output("a", 1, None)
    mark = written(late, b"counted,")
    written(late, b"LATE")
    late.finish()
    new = files.open_output("a", 2, mark)
    written(new, b"new")
    new.finish()
    assert result_of(files, 2) == b"counted,new"


@all_stores
def test_finishing_can_be_repeated_by_the_next_run_once_the_result_has_its_name(files: Files) -> None:
    mark = None
    for attempt in (1, 2, 3, 4):
        output = files.open_output("a", attempt, mark)
        mark = written(output, f"{attempt},".encode() if attempt < 3 else b"")
        output.finish()
        assert result_of(files, attempt) == b"1," if attempt == 1 else b"1,2,"
        if attempt > 1:
            # The job went on behind what the last attempt had finished: that has stayed as it was.
            assert result_of(files, attempt - 1) == (b"1," if attempt == 2 else b"1,2,")


class Crash(BaseException):
    """The process dies here."""


@pytest.mark.stores(LOCAL, FAKE)
@pytest.mark.parametrize("stretches", [1, 3])
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_finishing_can_be_repeated_after_a_crash_at_any_step_of_it(
    files: Files, stretches: int, before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_store, "PIECE_BYTES", 4)
    monkeypatch.setattr(remote_output, "PIECE_BYTES", 4)
    whole = b"".join(b"%d stretch," % number for number in range(1, stretches + 1))
    for crashes in itertools.count():
        files.remove("a")
        mark = None
        for attempt in range(1, stretches + 1):
            output = files.open_output("a", attempt, mark)
            mark = written(output, b"%d stretch," % attempt)
        if not dies(output, isinstance(files, LocalFiles), crashes, before):
            break
        # Nothing of a half file has the name of a result.
        assert result_of(files, stretches) in (None, whole)
        again = files.open_output("a", stretches + 1, mark)
        again.finish()
        assert result_of(files, stretches + 1) == whole
    assert crashes >= 2


def dies(output: Output, local: bool, at: int, before: bool) -> bool:
    """Finish, and die before or after the `at`-th step of that; returns whether there was such a step."""
    steps: list[tuple[Any, str]] = [(FakeRemote, "asked")]
    if local:
        steps = [(Path, "replace"), (local_output, "_copy"), (local_output, "flush_directory"), (os, "fsync")]
    count = itertools.count()

    def mortal(step: Callable[..., Any]) -> Callable[..., Any]:
        def do(*given: Any) -> Any:
            now = next(count) == at
            if now and before:
                raise Crash
            done = step(*given)
            if now:
                raise Crash
            return done

        return do

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in steps:
            step = mortal(getattr(owner, name))
            patch.setattr(owner, name, step if owner is Path else staticmethod(step) if owner is FakeRemote else step)
        try:
            output.finish()
        except Crash:
            return True
    return False


@pytest.mark.stores(LOCAL)
def test_a_job_of_before_there_were_stretches_goes_on_with_its_unfinished_file(files: Files, tmp_path: Path) -> None:
    keep(files, "a.output.part", b"counted,and not")
    output = files.open_output("a", 7, {"offset": 8, "day": 730000})
    mark = written(output, b"new,")
    assert mark == {"offset": 12, "stretches": [[0, 0], [8, 7]]}
    later = files.open_output("a", 8, mark)
    written(later, b"newer")
    later.finish()
    assert result_of(files, 8) == b"counted,new,newer"
    files.tidy_output("a", 8)
    assert stored(files) == {"a.output/result.8": b"counted,new,newer"}


@pytest.mark.stores(LOCAL)
def test_a_file_that_had_its_name_already_before_there_were_stretches_is_taken_up_again(files: Files) -> None:
    keep(files, "a.output", b"counted")
    for attempt in (2, 3):
        output = files.open_output("a", attempt, {"offset": 7})
        output.finish()
        assert result_of(files, attempt) == b"counted"


@pytest.mark.stores(LOCAL)
def test_the_result_of_a_job_of_before_there_were_stretches_is_found(files: Files) -> None:
    keep(files, "a.output", b"old")
    assert result_of(files, 3) == b"old"
    assert files.any_of("a")
    files.remove("a")
    assert stored(files) == {}


@all_stores
@pytest.mark.parametrize("lost", ["0-1.part", "4-2.part"])
def test_a_part_that_is_lost_is_noticed_when_the_output_is_opened_and_when_it_is_finished(
    files: Files, lost: str
) -> None:
    mark = written(files.open_output("a", 1, None), b"0123")
    mark = written(files.open_output("a", 2, mark), b"4567")
    opened_before = files.open_output("a", 3, mark)
    lose(files, f"a.output/{lost}")
    with pytest.raises(OutputLost, match="gone"):
        files.open_output("a", 4, mark)
    with pytest.raises(OutputLost, match="gone"):
        opened_before.finish()
    assert result_of(files, 3) is None


@all_stores
def test_a_part_that_is_shorter_than_it_was_is_noticed(files: Files) -> None:
    mark = written(files.open_output("a", 1, None), b"0123")
    keep(files, "a.output/0-1.part", b"012")
    with pytest.raises(OutputLost, match=r"gone|shorter"):
        files.open_output("a", 2, mark)


@remote_stores
def test_an_output_is_sent_in_pieces_that_stay_small_and_is_put_together_from_them(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_output, "PIECE_BYTES", 1000)
    random, whole, mark = Random(3), b"", None
    for attempt in range(1, 4):
        output = files.open_output("a", attempt, mark)
        for _ in range(5):
            data = random.randbytes(random.randrange(2500))
            whole += data
            for start in range(0, len(data), 300):
                output.write(data[start : start + 300])
            assert len(output._new) < 1300  # type: ignore[attr-defined]
            output.flush()
        mark = output.mark(output.tell())
    output.finish()
    assert result_of(files, 3) == whole


@pytest.mark.stores(FAKE)
def test_a_result_that_can_not_be_sent_whole_is_not_there(files: Files) -> None:
    output = files.open_output("a", 1, None)
    written(output, b"x")
    for what in ("begin", "piece", "complete"):
        with down(what), pytest.raises(FilesDown):
            output.finish()
        gc.collect()
        assert result_of(files, 1) is None
        assert FakeRemote.unfinished == set()
    output.finish()
    assert result_of(files, 1) == b"x"


# Removing.


@all_stores
def test_removing_takes_all_of_one_job_and_nothing_of_another(files: Files) -> None:
    fill(files, "a")
    kept = fill(files, "a2") + fill(files, "b.a")
    assert files.any_of("a")
    files.remove("a")
    assert sorted(stored(files)) == sorted(kept)
    assert not files.any_of("a")
    files.remove("a")


@all_stores
def test_the_output_can_be_removed_alone_and_the_input_too(files: Files) -> None:
    fill(files, "a")
    files.remove_output("a")
    assert list(stored(files)) == ["a.input"]
    assert files.any_of("a")
    fill(files, "a")
    files.remove_input("a")
    assert list(stored(files)) == ["a.output/0-1.part", "a.output/result.1"]
    assert files.any_of("a")


# A store that does not answer.


class Stop:
    """A stop sign at which nobody waits for long; it is set after `tries` pauses."""

    def __init__(self, tries: int = 1000) -> None:
        self.pauses: list[float | None] = []
        self._tries = tries

    def is_set(self) -> bool:
        return len(self.pauses) >= self._tries

    def wait(self, timeout: float | None = None) -> bool:
        self.pauses.append(timeout)
        return self.is_set()


@pytest.mark.stores(FAKE)
def test_a_run_tries_again_until_the_store_answers(files: Files) -> None:
    receive(files, "a", b"0123456789")
    stop = Stop()
    with files.open_input("a", ahead=1, stopped=stop) as file:
        assert file.read(1) == b"0"
        FakeRemote.fault = failing(4)
        assert file.read(8) == b"12345678"
        assert len(stop.pauses) == 4
    FakeRemote.fault = failing(3)
    output = files.open_output("a", 1, None, stopped=stop)
    output.write(b"x")
    output.flush()
    FakeRemote.fault = failing(2, "piece")
    output.finish()
    assert len(stop.pauses) == 9
    assert result_of(files, 1) == b"x"


@pytest.mark.stores(FAKE)
def test_a_run_gives_up_after_a_while_or_when_it_is_stopped_and_a_client_at_once(files: Files) -> None:
    receive(files, "a", b"x")
    patient, stopped = Stop(), Stop(2)
    with down():
        for stop in (patient, stopped):
            with pytest.raises(FilesDown, match="does not answer"):
                files.open_input("a", stopped=stop)
        with pytest.raises(FilesDown):
            files.open_input("a")
    assert [len(patient.pauses), len(stopped.pauses)] == [remote_store.TRIES - 1, 2]
    assert 10 < sum(pause or 0 for pause in patient.pauses) < 60


def failing(times: int, what: str | None = None) -> Any:
    count = itertools.count()

    def fault(asked: str, name: str) -> None:
        if what in (None, asked) and next(count) < times:
            raise OSError("it does not answer")

    return staticmethod(fault)


@pytest.mark.stores(FAKE)
def test_what_is_said_of_a_store_that_does_not_answer_has_no_password_in_it(files: Files) -> None:
    def fault(_: str, __: str) -> None:
        raise OSError("no answer from https://ann:secret@example.org/bucket")

    FakeRemote.fault = staticmethod(fault)  # type: ignore[assignment]
    with pytest.raises(FilesDown) as raised:
        files.any_of("a")
    assert "secret" not in str(raised.value)
    assert "example.org/bucket" in str(raised.value)


@pytest.mark.stores(S3)
def test_an_s3_that_is_gone_or_refuses_is_told_of_as_that(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    gone = opened("s3://bucket", tmp_path)
    for call in (gone.any_of, gone.open_input, gone.remove, gone.create_input):
        with pytest.raises(FilesDown):
            call("a")
    monkeypatch.undo()
    no_bucket = opened("s3://there-is-no-such-bucket", tmp_path)
    with pytest.raises(FilesDown):
        receive(no_bucket, "a", b"x")
