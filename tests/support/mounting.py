"""Whether this machine lets a test mount a small disk."""

from __future__ import annotations

import subprocess
from functools import cache


@cache
def may_mount() -> bool:
    try:
        command = ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except OSError:
        return False
