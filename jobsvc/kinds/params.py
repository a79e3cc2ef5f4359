"""The parameters of jobs: the base of what kinds declare, and what `Kind.prepare` makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict


class KindParams(BaseModel):
    """Base of the typed parameters of a kind: pydantic checks them, and shows them as a JSON schema."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    may_be_empty: ClassVar[frozenset[str]] = frozenset()
    """Parameters of which an empty text says something; for others it counts as not given."""

    reading: ClassVar[frozenset[str]] = frozenset()
    """Parameters that say how the uploaded CSV is read, in the meaning of `csv/params.py`: pages put them together,
    with words of their own."""

    @property
    def most_refused(self) -> int | None:
        """How many items may be refused before the job fails; None: any number. A parameter `max_failed` says it."""
        return getattr(self, "max_failed", None)

    def applied(self) -> Self:
        """Those of the job that does what a dry run with these has checked."""
        return self.model_copy(update={"dry_run": False})


@dataclass(frozen=True)
class Prepared:
    """Parameters as they are stored, and what the job's owner should know beside them."""

    params: Any
    warnings: Sequence[str] = ()
