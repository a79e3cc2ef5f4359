"""kill -9 at any moment: no change is without its line, and no line without its change."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.support.changes import KEYS, assert_every_change_has_its_line, change_under_kills
from tests.support.server import Server

pytestmark = pytest.mark.both_databases


def test_under_random_kills_every_change_has_its_line_and_every_line_its_change(
    make_server: Callable[..., Server], chance: random.Random
) -> None:
    settings = {"JOBSVC_KINDS": "tests.support.ticks:Ticks", "JOBSVC_MAX_RUNNING": "2", "JOBSVC_API_KEYS": KEYS}
    server = make_server(**settings).start()

    def kill(_: int) -> None:
        server.kill()
        assert_every_change_has_its_line(server)
        server.start()

    change_under_kills(server, chance, kill, left="the service had died")
