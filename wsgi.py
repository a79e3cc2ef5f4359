"""The WSGI entry point: what gunicorn and `flask run` load."""

import logging
import os
import sys
import time
from typing import NoReturn

from jobsvc.kinds.registry import KindError
from jobsvc.logs.setup import configure, is_configured
from jobsvc.process.app import create_app
from jobsvc.settings import SettingError
from jobsvc.store.errors import DatabaseDown, DatabaseInUse, SchemaBehind
from jobsvc.store.locks.flock import DirectoryInUse

GUNICORN_WORKER_BOOT_ERROR = 3
"""The exit code at which gunicorn gives up, instead of starting the worker again and again."""

AWAY_SECONDS = 2.0
"""How long a worker waits for the database before gunicorn starts another one in its place."""

IN_GUNICORN = os.environ.get("SERVER_SOFTWARE", "").startswith("gunicorn")


log = logging.getLogger("jobsvc.wsgi")

if not is_configured():
    # Until the settings are read.
    configure()


def give_up(why: object) -> NoReturn:
    log.critical("jobsvc can't start: %s", why)
    # Flask's reloader takes 3 for "start me again".
    sys.exit(GUNICORN_WORKER_BOOT_ERROR if IN_GUNICORN else 1)


if os.environ.get("GUNICORN_MASTER_PID") == str(os.getpid()):
    give_up("--preload: the threads that run jobs would be lost when the worker is forked; leave it out")
try:
    app = create_app()
except DatabaseDown as error:
    if not IN_GUNICORN:
        give_up(error)
    # It was there when gunicorn was started: see gunicorn.conf.py.
    log.warning("jobsvc waits for the database: %s", error)
    time.sleep(AWAY_SECONDS)
    sys.exit(1)
except (SettingError, KindError, DirectoryInUse, DatabaseInUse, SchemaBehind) as error:
    give_up(error)
