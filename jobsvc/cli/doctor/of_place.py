"""The place: which directory, which settings and which data are looked at."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import make_url

from jobsvc.cli.doctor.finding import Finding, good
from jobsvc.settings import Settings
from jobsvc.store.database import is_postgresql

SUBJECT = "place"

DOTENV = Path(".env")


def place() -> Finding:
    """Where this command stands, since that decides which settings it reads."""
    dotenv = f"and of {DOTENV.absolute()}" if DOTENV.is_file() else f"alone: there is no {DOTENV.absolute()}"
    return good(SUBJECT, f"the service of {Path.cwd()}, by the settings of the environment {dotenv}")


def data(settings: Settings) -> Finding:
    return good(SUBJECT, f"its data are in {settings.data_dir.absolute()}")


def is_empty(settings: Settings) -> bool:
    """Whether no service has ever run here, as far as its database tells."""
    return not is_postgresql(settings.url) and not Path(make_url(settings.url).database or "").is_file()
