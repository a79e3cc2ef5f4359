"""All pages, on their blueprint."""

from __future__ import annotations

from jobsvc.web.dashboard import list_page, many_page, workers_page
from jobsvc.web.dashboard.blueprint import bp

PAGES = (list_page, many_page, workers_page)
"""The files of pages: each has its routes on the blueprint once it is imported."""

__all__ = ["PAGES", "bp"]
