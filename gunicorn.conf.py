"""How gunicorn runs the service. Every value follows from a setting, or a comment says why."""

import gc
import logging
import math
import os
import sys

from jobsvc.logs.setup import configure
from jobsvc.metrics import shared_files
from jobsvc.process.listening import check_listen
from jobsvc.settings import EngineName, SettingError, Settings
from jobsvc.store.database import Database, is_postgresql

try:
    _settings = Settings.load()
    check_listen(_settings, _settings.host)
except SettingError as error:
    print(f"jobsvc can't start: {error}", file=sys.stderr)
    sys.exit(3)

configure(_settings)

# Tells wsgi.py when it is loaded in the master (--preload), which is before on_starting.
os.environ["GUNICORN_MASTER_PID"] = str(os.getpid())

wsgi_app = "wsgi:app"
bind = f"{_settings.host}:{_settings.port}"
# Waits for no client where others would wait for it: docs/decisions/0035-connections.md
worker_class = "jobsvc.process.http.gunicorn_worker.HttpWorker"
# All lines in one form, those of requests among them: docs/decisions/0052-logs.md
logger_class = "jobsvc.process.http.server_log.ServerLog"
# With the engine `threads`, jobs and their threads live in the worker, so that there is one.
_fleet = _settings.engine is EngineName.FLEET
workers = int(os.environ.get("WEB_CONCURRENCY", "1")) if _fleet else 1
# Requests wait for runs to obey; at most three quarters of them for uploads to arrive and downloads to be taken.
threads = 32
# An idle connection costs no thread, and to close one under a client's next request costs that request.
keepalive = 75
# A worker that reads a large upload still has its heartbeat: it comes from the main thread.
timeout = 60
# Past it, the worker is killed; the rest of the bound is for the master's own end.
graceful_timeout = math.floor(_settings.shutdown_timeout) - 1
if _settings.trusted_proxies:
    # Who is believed what X-Forwarded-Proto says; without the setting, proxies on this machine.
    forwarded_allow_ips = ",".join(map(str, _settings.trusted_proxies))
# One file in everybody's home directory, shared by all servers of a user.
control_socket_disable = True

# The processes of workers that ended and whose files were being read then. Only the master's.
_to_bury = set()

log = logging.getLogger("gunicorn.error")

ONE_WORKER = (
    "the threads engine runs in one worker process: use workers = 1 and more threads "
    "(more than one takes PostgreSQL and JOBSVC_ENGINE=fleet)"
)


def on_starting(server):
    """Refuse what can't work before anything is started; gunicorn prints a RuntimeError as one line."""
    if server.cfg.workers != 1 and not _fleet:
        raise RuntimeError(f"--workers {server.cfg.workers}: {ONE_WORKER}")
    for address in server.cfg.address:
        if isinstance(address, tuple):
            try:
                check_listen(_settings, address[0])
            except SettingError as error:
                raise RuntimeError(str(error)) from None
    if is_postgresql(_settings.url):
        _check_database()
    if _fleet:
        # Also for one worker: others may come later. Before the first one, which reads the environment.
        shared_files.begin()


def _check_database():
    """A start without the database fails, and says so; a worker that starts later waits until the database is back."""
    database = Database(_settings.url)
    fault = database.fault()
    database.close()
    if fault is not None:
        raise RuntimeError(f"jobsvc can't start: {fault}")


def pre_fork(server, worker):
    """Have the worker know where it listens: `--bind` may say otherwise than the settings."""
    os.environ["GUNICORN_LISTENS"] = " ".join(map(str, server.LISTENERS))


def post_fork(server, worker):
    """What the worker measures has its room on the disk before it is measured."""
    shared_files.reserve()
    # What a start makes stays, so that there is nothing to collect: create_app turns it on again.
    gc.disable()


def on_reload(server):
    """A reload reads the configuration anew."""
    if server.cfg.workers != 1 and not _fleet:
        log.error("--workers %s is ignored: %s", server.cfg.workers, ONE_WORKER)
        server.cfg.set("workers", 1)


def nworkers_changed(server, new_value, old_value):
    """Undo the TTIN signal, which asks for a further worker."""
    if old_value is not None and new_value > 1 and not _fleet:
        log.error("not adding a worker: %s", ONE_WORKER)
        server.num_workers = 1


def child_exit(server, worker):
    """What an ended worker has counted stays counted, in one file for all of them."""
    _to_bury.add(worker.pid)
    _to_bury.difference_update({pid for pid in _to_bury if shared_files.bury(pid)})


def on_exit(server):
    """The master ends, the last of its processes."""
    shared_files.end()


def worker_exit(server, worker):
    """End the runs and let go of the data directory; unlike worker_int, this is called for SIGTERM too."""
    app = getattr(worker, "wsgi", None)
    services = getattr(app, "extensions", {}).get("jobsvc")
    if services is not None:
        services.close()
