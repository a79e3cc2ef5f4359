"""Kinds that do what a kind must not do, in processes of their own."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable

import pytest

from tests.support.server import Server
from tests.support.waiting import poll

BOUND = 3
"""JOBSVC_SHUTDOWN_TIMEOUT, in seconds."""

MakeServer = Callable[..., Server]


def program(name: str) -> list[str]:
    return [sys.executable, "-m", f"tests.process.programs.{name}"]


def test_a_job_that_ends_its_process_is_failed_and_those_beside_it_are_done(make_server: MakeServer) -> None:
    server = make_server(program("poisoned"), JOBSVC_MAX_CRASHES="3")
    ends = []
    while not ends or ends[-1] == -signal.SIGKILL:
        process = server.start(wait=False).process
        assert process is not None
        ends.append(process.wait(60))
    assert ends == [-signal.SIGKILL] * 3 + [0], server.log.read_text()[-3000:]
    found = server.query("SELECT id, state, attempt, error FROM jobs ORDER BY key")
    assert [row[1] for row in found] == ["failed", "succeeded", "succeeded", "succeeded"]
    assert found[0][2] == 3
    assert found[0][3].startswith("its process ended 3 times in a row without a new checkpoint.")


def test_a_kind_that_calls_itself_deep_in_c_does_not_end_the_process(make_server: MakeServer) -> None:
    server = make_server(program("deep"))
    process = server.start(wait=False).process
    assert process is not None
    log = server.log
    assert process.wait(60) == 0, log.read_text()[-3000:]
    assert {"parses succeeded", "parsesSome succeeded"} <= set(log.read_text().splitlines())


@pytest.mark.parametrize(
    ("command", "number"),
    [
        (program("hanging"), None),
        ([sys.executable, "-c", "from tests.process.programs.hanging import *; import time; time.sleep(60)"], 15),
        ([sys.executable, "-m", "flask", "--app", "tests.process.programs.hanging", "run", "--port", "{port}"], 15),
    ],
    ids=["at its end", "SIGTERM", "flask run"],
)
def test_items_that_hang_do_not_keep_a_process_from_ending(
    make_server: MakeServer, command: list[str], number: int | None
) -> None:
    server = make_server(command, JOBSVC_SHUTDOWN_TIMEOUT=str(BOUND))
    process = server.start(wait=False).process
    assert process is not None
    poll(lambda: "both hang" in server.log.read_text(), 30, f"the items to hang\n{server.log.read_text()}")
    begun = time.monotonic()
    if number is not None:
        process.send_signal(number)
    code = process.wait(BOUND + 20)
    assert time.monotonic() - begun < BOUND + 2
    assert code in ((0,) if number is None else (-number, 128 + number))
