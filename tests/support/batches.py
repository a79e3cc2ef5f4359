"""Imports in small batches, whose checkpoints can be cut short."""

from __future__ import annotations

import pytest

from jobsvc.runs import runner
from jobsvc.runs.checkpoints import writer
from jobsvc.store.commits.group_commit import GroupCommit

BATCH = 20
PART = 3


def make_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """From then on a batch has BATCH items."""
    monkeypatch.setattr(runner, "BATCH_ITEMS", BATCH)
    monkeypatch.setattr(runner, "BATCHES_ALONE", 1)


def cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """From then on somebody is in a hurry: each checkpoint takes PART items."""
    monkeypatch.setattr(writer, "PART_ITEMS", PART)
    monkeypatch.setattr(runner, "PART_ITEMS", PART)
    monkeypatch.setattr(runner, "PARTS_ALONE", 1)
    monkeypatch.setattr(GroupCommit, "_is_somebody_in_a_hurry", lambda _: True)
