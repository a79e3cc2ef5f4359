"""The kinds of job: what each does to its items, and the contract they share."""

from jobsvc.kinds.contract import (
    BadParameter,
    Batch,
    Effects,
    End,
    ItemAbandoned,
    JobContext,
    JobFailed,
    JobInfo,
    Kind,
    KindParams,
    OutputFile,
    Readable,
    Refusal,
    Refused,
    Work,
)
from jobsvc.kinds.csv.params import CsvParams
from jobsvc.kinds.csv.work import CsvWork
from jobsvc.kinds.retrying import Retry
from jobsvc.kinds.row_kind import Item, RowKind, Source

__all__ = [
    "BadParameter",
    "Batch",
    "CsvParams",
    "CsvWork",
    "Effects",
    "End",
    "Item",
    "ItemAbandoned",
    "JobContext",
    "JobFailed",
    "JobInfo",
    "Kind",
    "KindParams",
    "OutputFile",
    "Readable",
    "Refusal",
    "Refused",
    "Retry",
    "RowKind",
    "Source",
    "Work",
]
