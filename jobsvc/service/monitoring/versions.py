"""Which versions the service is made of."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from jobsvc.store import versions as of_databases
from jobsvc.store.database import Database
from jobsvc.version import VERSION

PACKAGES = ("flask", "gunicorn", "sqlalchemy", "procrastinate")
"""Those of which one asks first when something is odd."""


def versions(database: Database | None = None) -> dict[str, str]:
    """By name; that of PostgreSQL where the `database` is one and has answered before."""
    found = {
        "jobsvc": VERSION,
        "python": platform.python_version(),
        "sqlite": of_databases.sqlite(),
        "platform": platform.platform(),
    }
    server = None if database is None else of_databases.postgresql(database)
    if server is not None:
        found["postgresql"] = server
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
