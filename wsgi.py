"""The WSGI entry point: what gunicorn and `flask run` load."""

import sys

from jobsvc import create_app
from jobsvc.settings import SettingError
from jobsvc.store.directory_lock import DirectoryInUse

GUNICORN_WORKER_BOOT_ERROR = 3
"""The exit code at which gunicorn gives up, instead of starting the worker again and again."""

try:
    app = create_app()
except (SettingError, DirectoryInUse) as error:
    print(f"jobsvc can't start: {error}", file=sys.stderr)
    sys.exit(GUNICORN_WORKER_BOOT_ERROR)
