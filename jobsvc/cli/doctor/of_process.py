"""The process: does one run the jobs, and does it answer where it should?"""

from __future__ import annotations

from pathlib import Path

from jobsvc.cli.client.api import Api, Unreachable
from jobsvc.cli.client.exits import Ended
from jobsvc.cli.doctor.finding import Finding, good, note, wrong
from jobsvc.settings import EngineName, Settings
from jobsvc.store.database import is_postgresql
from jobsvc.store.errors import DatabaseDown
from jobsvc.store.locks.directory_lock import holder_of
from jobsvc.store.locks.process_lock import ProcessLock

LOCK = "lock"
SERVICE = "service"

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "[::]": "::1", "": "127.0.0.1"}  # noqa: S104 (it is read, not used)


def process(settings: Settings) -> list[Finding]:
    """Takes no lock itself: a service that starts at this moment must find it free."""
    if settings.engine is EngineName.FLEET:
        # Its processes share the lock.
        return [_answers(settings, holder="")]
    try:
        holder = _holder(settings)
    except DatabaseDown as error:
        return [wrong(LOCK, f"who runs the jobs can't be told: {error}", "see what is said of the database")]
    if holder is None:
        return [note(LOCK, "no process runs the jobs: make, or jobsvc serve"), _answers(settings, None)]
    return [good(LOCK, f"{holder} runs the jobs"), _answers(settings, holder)]


def _holder(settings: Settings) -> str | None:
    if is_postgresql(settings.url):
        return ProcessLock(settings.url).holder()
    holder = holder_of(settings.data_dir)
    return None if holder is None else str(holder)


def _answers(settings: Settings, holder: str | None) -> Finding:
    """`holder` is the process that should answer: None if there is none, empty if it is not known."""
    host = EVERYWHERE.get(settings.host, settings.host).strip("[]")
    url = f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"
    try:
        api = Api(url, None)
        try:
            api.get("/readyz")
        finally:
            api.close()
    except Unreachable as error:
        if error.status is None and not holder:
            return note(SERVICE, f"nothing listens at {url}")
        if error.status is None:
            told = f"{holder} runs the jobs, but nothing answers at {url}"
            return wrong(SERVICE, told, "does it listen elsewhere (HOST, PORT, gunicorn's --bind)? See its log")
        mend = "see the log of the service" if holder is not None else "another program has the port: set PORT"
        return wrong(SERVICE, error.message, mend)
    except Ended as error:
        return wrong(SERVICE, f"{url}: {error.message}", "see the log of the service")
    if holder is None:
        told = f"a service answers at {url}, and it is not one of {Path(settings.data_dir).absolute()}"
        return wrong(SERVICE, told, "set JOBSVC_DATA_DIR as that one has it, or another PORT")
    return good(SERVICE, f"{url} answers, and is ready")
