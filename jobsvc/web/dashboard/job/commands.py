"""What the buttons of a job do, as commands to copy: for the command line, and for curl."""

from __future__ import annotations

import shlex
from collections.abc import Collection
from typing import NamedTuple

DEFAULT_URL = "http://127.0.0.1:8081"
"""Where `jobsvc` looks for the service if nobody says otherwise."""


class Command(NamedTuple):
    what: str
    line: str
    """With `jobsvc`."""
    curl: str


LOOKING = (("Look at it", "show", "", ""), ("Follow it", "watch", "", "?wait=30&unless=running"))

STEERING = {
    "pause": ("Pause it", "pause", "/pause"),
    "resume": ("Let it go on", "resume", "/resume"),
    "terminate": ("Terminate it", "terminate", "/terminate"),
    "rollback": ("Roll it back", "rollback", "/rollback"),
    "apply": ("Import what it has checked", "apply", "/apply"),
}
"""By the names of buttons."""


def commands(
    job_id: str, url: str, *, buttons: Collection[str], downloads: Collection[str], keys: bool
) -> list[Command]:
    """For a job of the service at `url`: for those buttons and downloads alone that it has.

    `keys`: whether the service asks for a key. `jobsvc` takes it from JOBSVC_API_KEY, and so does curl here.
    """
    base = url.rstrip("/")
    elsewhere = "" if base == DEFAULT_URL else f" --url {shlex.quote(base)}"
    name = shlex.quote(job_id)

    def line(command: str, options: str = "") -> str:
        return f"jobsvc {command} {name}{options}{elsewhere}"

    def curl(path: str, options: str = "") -> str:
        key = ' -H "Authorization: Bearer $JOBSVC_API_KEY"' if keys else ""
        return f"curl{options}{key} {shlex.quote(f'{base}/jobs/{job_id}{path}')}"

    found = [Command(what, line(command), curl(path + query)) for what, command, path, query in LOOKING]
    for button, (what, command, path) in STEERING.items():
        if button in buttons:
            found.append(Command(what, line(command), curl(path, " -X POST")))
        if button == "terminate" and button in buttons and "rollback-with-it" in buttons:
            both = curl(path, " -d rollback=true")
            found.append(Command("Terminate it and roll it back", line(command, " --rollback"), both))
    what_is_there = {
        "failed": "Download what was refused",
        "unprocessed": "Download what is left",
        "result": "Download its file",
    }
    found += [
        Command(what_is_there[name_], line(name_), curl(f"/{name_}", " -OJ"))
        for name_ in what_is_there
        if name_ in downloads
    ]
    return found
