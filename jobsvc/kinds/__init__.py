"""The kinds of job: what each does to its items, and the contract they share.

Every author's module imports this one. A name is loaded from its file when it is first
asked for, so that it costs nothing that a kind does not use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobsvc.kinds.batch import Batch, Cursor, End, Refusal
    from jobsvc.kinds.context import JobContext, JobInfo, KnownJobs, Log, OutputFile, Readable, StopSign
    from jobsvc.kinds.contract import Kind, LeftOverRows
    from jobsvc.kinds.csv.params import CsvParams
    from jobsvc.kinds.csv.work import CsvWork
    from jobsvc.kinds.errors import BadParameter, BadUpload, ItemAbandoned, JobFailed, Reason, Refused
    from jobsvc.kinds.item import Item, Retry, Source
    from jobsvc.kinds.params import KindParams, Prepared
    from jobsvc.kinds.row_kind import RowKind
    from jobsvc.kinds.work import Effects, RefusedLate, Taken, Work
else:
    _HOMES = {
        "BadParameter": "errors",
        "BadUpload": "errors",
        "Batch": "batch",
        "CsvParams": "csv.params",
        "CsvWork": "csv.work",
        "Cursor": "batch",
        "Effects": "work",
        "End": "batch",
        "Item": "item",
        "ItemAbandoned": "errors",
        "JobContext": "context",
        "JobFailed": "errors",
        "JobInfo": "context",
        "Kind": "contract",
        "KindParams": "params",
        "KnownJobs": "context",
        "LeftOverRows": "contract",
        "Log": "context",
        "OutputFile": "context",
        "Prepared": "params",
        "Readable": "context",
        "Reason": "errors",
        "Refusal": "batch",
        "Refused": "errors",
        "RefusedLate": "work",
        "Retry": "item",
        "RowKind": "row_kind",
        "Source": "item",
        "StopSign": "context",
        "Taken": "work",
        "Work": "work",
    }

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


__all__ = [
    "BadParameter",
    "BadUpload",
    "Batch",
    "CsvParams",
    "CsvWork",
    "Cursor",
    "Effects",
    "End",
    "Item",
    "ItemAbandoned",
    "JobContext",
    "JobFailed",
    "JobInfo",
    "Kind",
    "KindParams",
    "KnownJobs",
    "LeftOverRows",
    "Log",
    "OutputFile",
    "Prepared",
    "Readable",
    "Reason",
    "Refusal",
    "Refused",
    "RefusedLate",
    "Retry",
    "RowKind",
    "Source",
    "StopSign",
    "Taken",
    "Work",
]
