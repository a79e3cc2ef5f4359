"""A worker's process with one item under way: `python -m tests.support.programs.leased_item SECONDS alarm|thread|done`.

The item calls the outside, which is to print, once there is something to read. With `thread` no alarm ends the
process, as in a container whose first process it is; with `done` the item is over before that.
"""

from __future__ import annotations

import logging
import sys

from jobsvc.engines.fleet.lease import Lease, allow_alarm, set_alarm


def main(seconds: float, how: str) -> None:
    logging.basicConfig()
    allow_alarm()
    lease = Lease(seconds, alarm=(lambda _: None) if how == "thread" else set_alarm)
    lease.begin(lease.clock())
    with lease.items_under_way():
        if how != "done":
            call()
    call()


def call() -> None:
    print("under way", flush=True)
    sys.stdin.readline()
    print("called", flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2])
