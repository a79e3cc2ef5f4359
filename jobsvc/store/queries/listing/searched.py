"""The search for a text in jobs: in the id, which begins with the user and the kind, and in the file's name.

Both are stored together in `jobs.searched`, and folded: small and capital letters of any
alphabet, and the ways in which systems write the same letter, are alike. So both databases
find the same, whatever their locale.
"""

from __future__ import annotations

from unicodedata import normalize

from sqlalchemy import ColumnElement, func

from jobsvc.store.tables import jobs


def folded(text: str) -> str:
    """What is alike in two texts that mean the same to a reader (Unicode's NFKC and case folding)."""
    return normalize("NFKC", normalize("NFKC", text).casefold())


def searched(job_id: str, filename: str | None) -> str:
    """What is stored for a job. No text that is searched for has a line end."""
    return folded(job_id if filename is None else f"{job_id}\n{filename}")


def contains(text: str) -> ColumnElement[bool]:
    """The clause that leaves the jobs with this text; % and _ are characters as others are."""
    # A process of an older version, during an upgrade, has not stored it.
    return func.coalesce(jobs.c.searched, func.lower(jobs.c.id)).contains(folded(text), autoescape=True)
