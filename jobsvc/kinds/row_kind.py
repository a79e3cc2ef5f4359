"""The short form of a kind: one method that does one item.

    class Greet(RowKind):
        name = "greet"

        def process(self, row, item):
            item.execute(insert(greetings).values(name=row["name"]))

What `process` hands to `item` takes effect with the checkpoint, exactly once. What
it does elsewhere happens at least once; `item.key` lets the other side notice.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from jobsvc.kinds.context import JobContext
from jobsvc.kinds.contract import Kind
from jobsvc.kinds.csv.params import CsvParams, UploadParams
from jobsvc.kinds.item import Item, Retry, Source
from jobsvc.kinds.params import KindParams, Prepared
from jobsvc.kinds.work import Work


class RowKind(Kind):
    """Base class of kinds that do one item at a time: override `process`."""

    Params: ClassVar[type[KindParams]] = CsvParams

    retry: ClassVar[Retry | None] = None
    """On which exceptions, and how often, an item is tried again."""
    rate: ClassVar[float | None] = None
    """The most items per second that one job begins; None: no limit."""
    concurrency: ClassVar[int] = 1
    """How many items of one job are under way at once; for kinds that wait for the network."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not cls.takes_file and cls.Params is CsvParams:
            cls.Params = KindParams

    @abstractmethod
    def process(self, row: Any, item: Item) -> None:
        """Do one item: a row of the upload as a dict by column, or what `source` yielded.

        Raise Refused to refuse it; any other exception, after the retries, fails the job.
        """

    def source(self, context: JobContext, after: Any) -> Source:
        """For kinds with `takes_file = False`: the items after the cursor `after` (None: from the first on)."""
        raise LookupError(f"{self.name} takes no file and has no source")

    def prepare(self, params: Any, upload: Any) -> Any:
        # What only the service does with a kind is loaded by the service: its author's module does without.
        from jobsvc.kinds.csv.upload_check import settled  # noqa: PLC0415

        if upload is not None and isinstance(params, UploadParams):
            found = settled(params, upload)
            return Prepared(found.params, found.warnings)
        return params

    def open(self, context: JobContext) -> Work:
        from jobsvc.kinds.item_work import ItemDoer, SourceItems, UploadRows  # noqa: PLC0415

        doer = ItemDoer(self.process, self.retry, self.rate, self.concurrency)
        return UploadRows(doer, context) if self.takes_file else SourceItems(doer, context, self.source)
