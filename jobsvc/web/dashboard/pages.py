"""All pages, on their blueprint."""

from __future__ import annotations

from jobsvc.web.dashboard import list_page, many_page, service_page, workers_page
from jobsvc.web.dashboard.blueprint import bp
from jobsvc.web.dashboard.job import asking
from jobsvc.web.dashboard.job import page as job_page
from jobsvc.web.dashboard.new_job import page as new_job_page

PAGES = (
    list_page,
    new_job_page,
    job_page,
    asking,
    many_page,
    workers_page,
    service_page,
)
"""The files of pages: each has its routes on the blueprint once it is imported."""

__all__ = ["PAGES", "bp"]
