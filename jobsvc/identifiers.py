"""Numbers that must not be taken for one another: a type checker tells them apart, at run time they are plain ints."""

from __future__ import annotations

from typing import NewType

JobKey = NewType("JobKey", int)
"""A job's number in the database, `jobs.key`. Clients know a job by its id, which is a text."""

EntryId = NewType("EntryId", int)
"""The number of an entry of the fleet's queue."""
