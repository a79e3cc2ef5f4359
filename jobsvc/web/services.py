"""What the blueprints are given to work with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flask import Flask, current_app

from jobsvc.files.contract import Files
from jobsvc.kinds.contract import Kind
from jobsvc.service.actions.asking import Actions
from jobsvc.service.auditing.audit import Audit
from jobsvc.service.auditing.recorder import Recorder
from jobsvc.service.callers.keys import Keys
from jobsvc.service.callers.sessions import Sessions
from jobsvc.service.checking.report import Reports
from jobsvc.service.following.follower import Follower
from jobsvc.service.jobs import JobService
from jobsvc.service.left_over import LeftOver
from jobsvc.service.limits.rate import RequestRate
from jobsvc.service.limits.uploads import Uploads
from jobsvc.service.monitoring.details import Details
from jobsvc.service.monitoring.measured import Measured
from jobsvc.service.monitoring.overview import Overview
from jobsvc.service.monitoring.samples import Samples
from jobsvc.service.previews import Previews
from jobsvc.service.pruner import Pruner
from jobsvc.service.results import Results
from jobsvc.service.workers import Workers
from jobsvc.settings import Settings
from jobsvc.web.browsers.attempts import Attempts

EXTENSION = "jobsvc"


@dataclass(frozen=True)
class Services:
    settings: Settings
    jobs: JobService
    actions: Actions
    follower: Follower
    uploads: Uploads
    rate: RequestRate
    place: str
    """The name in the WSGI environment of a request's place to wait in, under a server that counts its threads."""
    results: Results
    files: Files
    shortage: Callable[[], str | None]
    """Why nothing should fill the disks at the moment; None if there is room."""
    left_over: LeftOver
    previews: Previews
    reports: Reports
    pruner: Pruner
    kinds: Mapping[str, Kind]
    keys: Keys
    audit: Audit
    recorder: Recorder
    sessions: Sessions
    attempts: Attempts
    check_callback: Callable[[object], None]
    """Raises InvalidParameter if that can't be a callback URL."""
    workers: Workers
    measured: Measured
    overview: Overview
    samples: Samples
    details: Details
    not_ready: Callable[[], str | None]
    """Why the service can't take work at the moment; None if it can."""
    close: Callable[[], None]
    """Stop all runs and let go of the data directory; what a test does at its end."""


def provide(app: Flask, services: Services) -> None:
    app.extensions[EXTENSION] = services


def services() -> Services:
    """The services of the application that handles the current request."""
    found = current_app.extensions[EXTENSION]
    assert isinstance(found, Services)
    return found
