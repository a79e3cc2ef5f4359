"""What the author of a `RowKind` works with: an item, where items come from, and when one is tried again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobsvc.kinds.context import JobContext
from jobsvc.kinds.work import Effects

if TYPE_CHECKING:
    from sqlalchemy import Executable, Table


class Item:
    """The second argument of `process`: it says whose item it is, and takes its effects."""

    def __init__(self, context: JobContext, number: int) -> None:
        params = context.params
        self.job_id = context.id
        self.job_key = context.key
        self.read = context.read
        """Opens a connection for reading what is committed: of the items before this one, maybe not all."""
        self.dry_run: bool = getattr(params, "dry_run", False)
        """Nothing is to be made: effects handed in are dropped, and calls to the outside should not be made."""
        self.attempt = context.attempt
        """Goes up with every run of the job: the other side of a call can refuse one that comes from an earlier run."""
        self.number = number
        """Counts the job's items from 1, refused ones included."""
        self.params = params
        """An instance of the kind's `Params`."""
        self.error: str | None = None
        """Why it was refused."""
        self._effects: list[Callable[[Effects], object]] = []
        self._log = context.log

    @property
    def key(self) -> str:
        """The same for this item however often it is tried; for the other side of a call to recognise it by."""
        return f"{self.job_id}:{self.number}"

    def log(self, text: str, level: str = "info") -> None:
        """Write a line about this item into the job's log, `GET /jobs/<id>/log`: see `Log`.

        It stays, whatever becomes of the item: also if it is refused, tried again, or fails the job.
        """
        self._log(text, level=level, item=self.number)

    def execute(self, statement: Executable, parameters: Any = None) -> None:
        """Execute an SQLAlchemy Core statement with the checkpoint."""
        self._effects.append(lambda effects: effects.execute(statement, parameters))

    def insert(self, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert rows with the checkpoint."""
        self._effects.append(lambda effects: effects.insert(table, columns, rows))

    def take_effect(self, effects: Effects) -> None:
        for effect in self._effects:
            effect(effects)

    def start_over(self) -> None:
        """Forget what was handed in: the item is tried again."""
        self._effects.clear()


@dataclass(frozen=True)
class Source:
    """Where the items of a kind without an upload come from.

    `items` yields each item with the cursor after it; `size` is how many there are, if that is known.
    """

    items: Iterable[tuple[Any, Any]]
    size: int = 0


@dataclass(frozen=True)
class Retry:
    """Try an item again on the exceptions `on`, at most `attempts` times in all.

    The pauses begin at `first_delay` seconds and double, up to `max_delay`, each with some
    jitter. Refused and JobFailed are never tried again, whatever `on` says.
    """

    on: tuple[type[Exception], ...]
    attempts: int = 5
    first_delay: float = 0.5
    max_delay: float = 60.0
