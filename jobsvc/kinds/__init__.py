"""The kinds of job: what each does to its items, and the contract they share."""

from __future__ import annotations

from collections.abc import Mapping

from jobsvc.kinds.baseline_csv import BaselineCSV
from jobsvc.kinds.bulk_team import BulkTeam
from jobsvc.kinds.contract import Kind
from jobsvc.kinds.create_export import CreateExport


def built_in() -> Mapping[str, Kind]:
    """The kinds that ship with the service, by name."""
    kinds: tuple[Kind, ...] = (BaselineCSV(), BulkTeam(), CreateExport())
    return {kind.name: kind for kind in kinds}
