"""Kinds of somebody's own, whose parameters are of all sorts that a form has."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, field_validator

from jobsvc.kinds import CsvParams, Item, JobContext, KindParams, RowKind, Source


class Size(StrEnum):
    SMALL = "small"
    LARGE = "large"


class Box(BaseModel):
    width: int
    height: int


class BadgesParams(CsvParams):
    event: str = Field(min_length=3, max_length=20, title="Name of the event", description="what stands on each badge")
    size: Size = Field(Size.SMALL, description="how large a badge is")
    copies: int = Field(1, ge=1, le=5)
    scale: float | None = Field(None, gt=0)
    with_photo: bool = False
    printed: bool = Field(True, description="print them at once")
    valid_until: date | None = None
    colours: list[str] = Field(default_factory=list, description="in this order")
    box: Box | None = None

    @field_validator("event")
    @classmethod
    def _no_test(cls, event: str) -> str:
        if event == "test":
            raise ValueError("'test' is the name of no event")
        return event


class Badges(RowKind):
    """Prints a badge for everybody in a CSV.

    More of this nobody needs to know at once.
    """

    name = "badges"
    Params = BadgesParams

    def process(self, row: Any, item: Item) -> None:
        """A test looks at the parameters, and not at what becomes of a row."""


class ReportParams(KindParams):
    first: date = Field(description="the first day")
    at: datetime | None = None
    depth: Literal[1, 2, 3]
    note: Annotated[str, Field(max_length=100)] = "<b>none</b> \N{HEBREW LETTER SHIN}"
    limits: dict[str, int] = Field(default_factory=dict)


class Report(RowKind):
    """Reports something."""

    name = "report"
    takes_file, items = False, "days"
    Params = ReportParams

    def source(self, context: JobContext, after: Any) -> Source:
        return Source(iter(()), size=0)

    def process(self, row: Any, item: Item) -> None:
        """There are none."""
