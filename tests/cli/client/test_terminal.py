"""Commands on a terminal: questions, bars, colours, Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.on_terminal import CTRL_C, OnTerminal
from tests.support.server import Server


def test_a_question_is_answered_or_broken_off(service: Server, make_job: Callable[..., str]) -> None:
    job_id = make_job()
    asked = "pause 1 job? [y/N]: "
    with OnTerminal(service.url, "pause", "--all", "--kind", "tocks", "--state", "running") as terminal:
        terminal.read_until(asked)
        terminal.break_off()
        assert (terminal.end(), "Broken off: nothing was asked of any job." in terminal.shown) == (130, True)
    for typed, exit, said in (
        (b"n\n", 1, "Error: nothing was asked of any job"),
        (b"\x04", 1, "Error: nothing was asked of any job"),
    ):
        with OnTerminal(service.url, "pause", "--all", "--kind", "tocks", "--state", "running") as terminal:
            terminal.read_until(asked)
            terminal.type(typed)
            assert (terminal.end(), said in terminal.shown) == (exit, True), terminal.shown
    assert service.job(job_id)["state"] == "running"
    with OnTerminal(service.url, "pause", "--all", "--kind", "tocks", "--state", "running") as terminal:
        terminal.read_until(asked)
        terminal.type(b"y\n")
        assert terminal.end() == 0, terminal.shown
    assert service.job(job_id)["state"] == "paused"


@pytest.mark.parametrize("columns", [40, 100])
def test_a_bar_tells_the_state_and_how_far_it_is_on_any_width(
    service: Server, make_job: Callable[..., str], columns: int
) -> None:
    job_id = make_job()
    with OnTerminal(service.url, "watch", job_id, columns=columns) as terminal:
        terminal.read_until("running")
        terminal.read_until(" rows")
        assert ("━" in terminal.shown) is (columns == 100)
        terminal.type(CTRL_C)
        assert terminal.end() == 130
        assert f"job {job_id} goes on" in " ".join(terminal.shown.split())


def test_without_colours_there_are_none(service: Server, tmp_path: Path) -> None:
    colour = b"\x1b[3"
    for environ, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        with OnTerminal(service.url, "doctor", cwd=tmp_path, **environ) as terminal:
            terminal.end()
            assert (colour in terminal.raw) is coloured, terminal.raw
    with OnTerminal(service.url, "list", NO_COLOR="1") as terminal:
        assert terminal.end() == 0
        assert colour not in terminal.raw


def test_an_export_that_is_no_longer_waited_for_says_how_to_have_it_later(
    service: Server, tmp_path: Path, make_job: Callable[..., str]
) -> None:
    for _ in range(8):
        # All slots are taken, so that the export waits.
        make_job()
    with OnTerminal(service.url, "export", "2026-01-01", "2026-01-02", "-o", f"{tmp_path}/my file.csv") as terminal:
        terminal.read_until("queued")
        terminal.type(CTRL_C)
        assert terminal.end() == 130
        told = " ".join(terminal.shown.split())
        job_id = told.split()[0]
        assert f"to have its result later: jobsvc result {job_id} -o '{tmp_path}/my file.csv'" in told
    service.post(f"/jobs/{job_id}/terminate")
