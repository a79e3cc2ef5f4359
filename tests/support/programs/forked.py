"""Loads what every process of the service loads, and then forks such processes.

    python -m tests.support.programs.forked <descriptor of a socket>

Two thirds of what a process of the service takes to start is to load libraries and the service itself, each time the
same. Each message on the socket is a process to be started: JSON of its module, arguments, directory and environment,
with three descriptors: its standard output, its standard error, and a socket that is told its number, and when it has
ended its exit code. Ends when nobody holds the other end of the socket.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import sys
from selectors import EVENT_READ, DefaultSelector
from typing import Any

from jobsvc.metrics.shared_files import VARIABLE

MESSAGE_BYTES = 200_000

LATER = ("jobsvc.cli.", "jobsvc.testing.", "jobsvc.traces.", "jobsvc.files.remote", "jobsvc.store.migrations.")
"""What only some processes load."""

OWN = "prometheus_client"
"""What depends on the environment in which it is loaded: where it is not the usual, a process loads it, and all that
needs it, for itself."""

APPLICATION = "jobsvc.process.app"


def load() -> list[str]:
    """Returns the names of the modules that need what is `OWN`, and its own: all of them were loaded last."""
    for name in ("gunicorn.app.wsgiapp", "gunicorn.workers.gthread", "click", "jobsvc"):
        importlib.import_module(name)
    sys.modules[OWN] = None  # type: ignore[assignment]
    for module in pkgutil.walk_packages(importlib.import_module("jobsvc").__path__, "jobsvc.", onerror=lambda _: None):
        if not module.name.startswith(LATER) and not module.name.endswith("__main__"):
            try:
                importlib.import_module(module.name)
            except ImportError as error:
                if OWN not in str(error):
                    raise
    del sys.modules[OWN]
    others = set(sys.modules)
    importlib.import_module(APPLICATION)
    gc.collect()
    # Else the first collection of each process would copy all of it.
    gc.freeze()
    return [name for name in sys.modules if name not in others]


def is_usual(order: dict[str, Any]) -> bool:
    """Whether the process measures in its own memory: web servers of several processes have files that they share."""
    alone = order["module"] == "gunicorn" and "JOBSVC_ENGINE" not in order["environ"]
    works = (order["module"], *order["arguments"][:1]) == ("jobsvc", "worker")
    return (alone or works) and VARIABLE not in order["environ"]


def forget(modules: list[str]) -> None:
    """As if they had never been loaded."""
    for name in modules:
        del sys.modules[name]
        package, _, short = name.rpartition(".")
        if package in sys.modules:
            delattr(sys.modules[package], short)


def serve(orders: socket.socket) -> dict[str, Any] | None:
    """Start what is ordered, until there will be no further order. Returns twice or more: in each process that is
    started, with its order."""
    running: dict[int, tuple[int, socket.socket]] = {}
    with DefaultSelector() as selector:
        selector.register(orders, EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fd != orders.fileno():
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    number, news = running.pop(key.fd)
                    with news:
                        _tell(news, os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]))
                    continue
                message, descriptors, _, _ = socket.recv_fds(orders, MESSAGE_BYTES, 3)
                if not message:
                    return None
                *printed, told = descriptors
                news = socket.socket(fileno=told)
                number = os.fork()
                if number == 0:
                    _become(*printed)
                    _tell(news, os.getpid())
                    for other in running:
                        os.close(other)
                    for _, each in [*running.values(), (0, news), (0, orders)]:
                        each.close()
                    order: dict[str, Any] = json.loads(message)
                    return order
                for each_file in printed:
                    os.close(each_file)
                ended = os.pidfd_open(number)
                running[ended] = number, news
                selector.register(ended, EVENT_READ)


def _tell(news: socket.socket, number: int) -> None:
    try:
        news.send(str(number).encode())
    except OSError:
        # Nobody asks any more.
        return


def _become(out: int, err: int) -> None:
    """A process of its own, with a group of its own, that prints there."""
    os.setsid()
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.close(out)
    os.close(err)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    needing = load()
    order = serve(socket.socket(fileno=int(sys.argv[1])))
    if order is None:
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(order["directory"])
    os.environ.clear()
    os.environ.update(order["environ"])
    if not is_usual(order):
        forget(needing)
    sys.argv = [order["module"], *order["arguments"]]
    runpy.run_module(order["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
