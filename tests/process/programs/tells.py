"""Tells how its process was begun, as JSON, and ends with the exit code that its first argument says.

python -m tests.process.programs.tells <exit code> [...]
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import sys
import threading
from pathlib import Path


def told() -> dict[str, object]:
    return {
        "arguments": sys.argv[1:],
        "program": sys.argv[0],
        "name": __name__,
        "directory": str(Path.cwd()),
        "path": sys.path[0],
        "environ": dict(os.environ),
        "leads": [os.getpgid(0) == os.getpid(), os.getsid(0) == os.getpid()],
        "threads": threading.active_count(),
        "signals": [str(signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)],
        "descriptors": sorted(each.name for each in Path("/proc/self/fd").iterdir()),
        "measured": "prometheus_client" in sys.modules,
    }


if __name__ == "__main__":
    atexit.register(print, "the end", flush=True)
    print(json.dumps(told()), flush=True)
    if sys.argv[1] == "wait":
        signal.pause()
    sys.exit(int(sys.argv[1]))
