"""The WSGI entry point: what gunicorn and `flask run` load."""

import os
import sys
from typing import NoReturn

from jobsvc import create_app
from jobsvc.kinds.registry import KindError
from jobsvc.settings import SettingError
from jobsvc.store.directory_lock import DirectoryInUse
from jobsvc.store.errors import DatabaseDown, DatabaseInUse, SchemaBehind

GUNICORN_WORKER_BOOT_ERROR = 3
"""The exit code at which gunicorn gives up, instead of starting the worker again and again."""


def give_up(why: object) -> NoReturn:
    print(f"jobsvc can't start: {why}", file=sys.stderr)
    # Flask's reloader takes 3 for "start me again".
    in_gunicorn = os.environ.get("SERVER_SOFTWARE", "").startswith("gunicorn")
    sys.exit(GUNICORN_WORKER_BOOT_ERROR if in_gunicorn else 1)


if os.environ.get("GUNICORN_MASTER_PID") == str(os.getpid()):
    give_up("--preload: the threads that run jobs would be lost when the worker is forked; leave it out")
try:
    app = create_app()
except (SettingError, KindError, DirectoryInUse, DatabaseInUse, SchemaBehind, DatabaseDown) as error:
    give_up(error)
