"""How `bench/pause_hops.py` puts the stamps of several processes together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.fleet import Pause
from bench.pause_hops import HOPS, Stamps

KEY, ENTRY, JOB = 7, 70, "a-job"

AT_THE_NEXT_BATCH: Sequence[tuple[float, str, int | None, Any]] = (
    (0.5, "began", KEY, ENTRY),
    (0.9, "checkpoint", KEY, None),
    (1.1, "asked", None, JOB),
    (1.2, "written", KEY, None),
    (1.25, "told", None, ENTRY),
    (1.3, "inserted", KEY, 1000),
    (1.35, "committed", KEY, "running"),
    (1.4, "checkpoint", KEY, None),
    (1.6, "inserted", KEY, 1000),
    (1.7, "committed", KEY, "paused"),
    (1.8, "answered", KEY, JOB),
)


def stamps(path: Path, lines: Sequence[tuple[float, str, int | None, Any]]) -> Stamps:
    file = path / "stamps"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return Stamps(file)


def test_the_hops_of_a_pause_follow_one_another_from_the_request_to_the_answer(tmp_path: Path) -> None:
    found = stamps(tmp_path, AT_THE_NEXT_BATCH).hopped(Pause(JOB, 1.0, 1.9))
    assert found is not None
    assert found.hops() == pytest.approx([100, 100, 200, 200, 100, 100, 100])
    assert len(found.hops()) == len(HOPS)
    assert found.total == pytest.approx(900)
    assert (found.told, found.found) == (1.25, False)
    assert found.as_json()[2] == {"hop": HOPS[2], "begin": 200.0, "end": 400.0}


def test_a_checkpoint_that_is_under_way_finds_the_pause_by_itself(tmp_path: Path) -> None:
    """Its rows were inserted before the request was written: these hops take no time."""
    lines = (
        (0.5, "began", KEY, ENTRY),
        (0.9, "checkpoint", KEY, None),
        (1.05, "inserted", KEY, 1000),
        (1.1, "asked", None, JOB),
        (1.2, "written", KEY, None),
        (1.7, "committed", KEY, "paused"),
        (1.71, "told", None, ENTRY),
        (1.8, "answered", KEY, JOB),
    )
    found = stamps(tmp_path, lines).hopped(Pause(JOB, 1.0, 1.9))
    assert found is not None
    assert found.hops() == pytest.approx([100, 100, 0, 0, 500, 100, 100])
    assert found.found


def test_an_answer_that_overtakes_the_worker_s_own_stamp_takes_no_time_backwards(tmp_path: Path) -> None:
    lines = [line for line in AT_THE_NEXT_BATCH if line[1:] != ("committed", KEY, "paused")]
    found = stamps(tmp_path, [*lines, (1.85, "committed", KEY, "paused")]).hopped(Pause(JOB, 1.0, 1.9))
    assert found is not None
    assert found.hops() == pytest.approx([100, 100, 200, 200, 200, 0, 100])
