"""Holding a run of a CSV kind at its checkpoints, and stopping it there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from jobsvc.kinds.csv.work import CsvWork
from tests.support.gated import Gate


@contextmanager
def gated_checkpoints() -> Iterator[Gate]:
    """A gate before each checkpoint of a job that reads a CSV. It is open at the end."""
    gate = Gate()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CsvWork, "flush", lambda work: gate.pass_through())
        try:
            yield gate
        finally:
            gate.open()
