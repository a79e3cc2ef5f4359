"""A process that the tests fork begins, tells of itself and ends as one does that was started by its command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import ROOT, Forked, Forking, Process, by_command, heed_interrupts, run, start
from tests.support.waiting import TIMEOUT, poll

MODULE = "tests.process.programs.tells"
COMMAND = [sys.executable, "-m", MODULE]


def begun(log: Path, *arguments: str, **environ: str) -> Process:
    with log.open("wb") as out:
        return start([*COMMAND, *arguments], {**os.environ, **environ}, out)


def told(log: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(log.read_text().splitlines()[0])
    return found


def test_it_is_as_its_command_would_have_it(tmp_path: Path) -> None:
    forked, plain = tmp_path / "forked", tmp_path / "plain"
    one = begun(forked, "7", "and more", TOLD="a\nb")
    assert isinstance(one, Forked)
    assert one.wait(TIMEOUT) == 7
    with plain.open("wb") as out:
        environ = {**os.environ, "TOLD": "a\nb"}
        subprocess.run(
            [*COMMAND, "7", "and more"],
            cwd=ROOT,
            env=environ,
            stdout=out,
            start_new_session=True,
            preexec_fn=heed_interrupts,
            check=False,
        )
    assert forked.read_text().splitlines()[-1] == "the end"
    assert told(forked) == told(plain)
    assert told(forked)["environ"]["TOLD"] == "a\nb"


def test_what_it_prints_and_its_code_are_told_at_its_end_as_by_its_command(tmp_path: Path) -> None:
    forked = run("jobsvc", "db", "--such", environ=os.environ, directory=tmp_path)
    with by_command():
        plain = run("jobsvc", "db", "--such", environ=os.environ, directory=tmp_path)
    assert (forked.returncode, forked.stdout, forked.stderr) == (plain.returncode, plain.stdout, plain.stderr)
    assert "No such option '--such'" in forked.stderr
    said = run(MODULE, "0", environ=os.environ, directory=tmp_path).stdout.splitlines()[0]
    assert json.loads(said)["directory"] == str(tmp_path)
    with pytest.raises(subprocess.TimeoutExpired):
        run(MODULE, "wait", environ=os.environ, seconds=0)


def test_it_can_be_asked_and_killed_as_any_other(tmp_path: Path) -> None:
    log = tmp_path / "log"
    one = begun(log, "wait")
    poll(lambda: b"arguments" in log.read_bytes(), TIMEOUT, "the process to begin")
    assert (one.poll(), one.returncode) == (None, None)
    with pytest.raises(subprocess.TimeoutExpired):
        one.wait(0)
    os.killpg(one.pid, signal.SIGKILL)
    assert one.wait(TIMEOUT) == -signal.SIGKILL
    assert (one.poll(), one.returncode, one.wait()) == (-signal.SIGKILL,) * 3
    # Nobody else is hit who may have its number by now.
    one.send_signal(signal.SIGKILL)


def test_what_python_looks_at_before_it_begins_takes_a_process_of_its_own(tmp_path: Path) -> None:
    one = begun(tmp_path / "log", "0", PYTHONHASHSEED="1")
    assert isinstance(one, subprocess.Popen)
    assert one.wait(TIMEOUT) == 0


def test_where_the_one_they_are_forked_from_is_gone_nobody_waits_for_ever(tmp_path: Path) -> None:
    forking = Forking()
    with (tmp_path / "log").open("wb") as out:
        one = forking.start([MODULE, "wait"], os.environ, out, out)
        assert forking._process is not None
        forking._process.kill()
        with pytest.raises(AssertionError, match="is gone"):
            one.wait(TIMEOUT)
        os.kill(one.pid, signal.SIGKILL)
        forking.close()
