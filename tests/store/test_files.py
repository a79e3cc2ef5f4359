from __future__ import annotations

from pathlib import Path

import pytest

from jobsvc.store.files import Files


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "deep" / "files")


def fill(files: Files, job_id: str) -> list[Path]:
    paths = [files.input(job_id), files.output(job_id), files.partial_output(job_id)]
    for path in paths:
        path.write_text("x")
    return paths


def test_the_directory_is_made_and_may_be_there_already(files: Files) -> None:
    assert files.directory.is_dir()
    assert Files(files.directory).directory == files.directory


def test_each_file_of_a_job_has_a_name_of_its_own_in_the_directory(files: Files) -> None:
    paths = {path for job_id in ("a", "b") for path in fill(files, job_id)}
    assert len(paths) == 6
    assert set(files.directory.iterdir()) == paths


def test_an_input_is_created_once(files: Files) -> None:
    with files.create_input("a") as file:
        file.write(b"first")
        files.to_disk(file)
    with pytest.raises(FileExistsError):
        files.create_input("a")
    assert files.input("a").read_bytes() == b"first"


def test_what_is_written_to_an_input_is_there_at_once(files: Files) -> None:
    with files.create_input("a") as file:
        file.write(b"unbuffered")
        assert files.input("a").read_bytes() == b"unbuffered"


def test_removing_takes_all_of_one_job_and_nothing_of_another(files: Files) -> None:
    fill(files, "a")
    kept = fill(files, "a2")
    files.remove("a")
    assert set(files.directory.iterdir()) == set(kept)
    files.remove("a")


def test_strays_are_the_files_of_jobs_that_nobody_knows(files: Files) -> None:
    kept = fill(files, "known") + fill(files, "dotted.input.id")
    other = files.directory / "notes.txt"
    other.write_text("x")
    strays = fill(files, "stray") + fill(files, "known2")
    assert set(files.remove_strays({"known", "dotted.input.id", "no files"})) == {path.name for path in strays}
    assert set(files.directory.iterdir()) == {*kept, other}
    assert files.remove_strays({"known", "dotted.input.id"}) == []
