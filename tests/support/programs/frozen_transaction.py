"""A process that locks a job's row and then says nothing.

`python -m tests.support.programs.frozen_transaction URL JOB_KEY IDLE_SECONDS` goes on when it can
read from its standard input, and prints what became of its transaction.
"""

from __future__ import annotations

import sys

from jobsvc.store.database import Database
from jobsvc.store.errors import DatabaseDown
from jobsvc.store.queries import job_rows


def main(url: str, key: int, idle_seconds: float) -> None:
    database = Database(url, idle_seconds=idle_seconds)
    try:
        with database.write() as connection:
            job = job_rows.by_key(connection, key, lock=True)
            print("holds it", flush=True)
            sys.stdin.readline()
            job_rows.change(connection, key, attempt=job["attempt"], state=job["state"], values={"done": 4711})
        print("committed")
    except DatabaseDown as error:
        print(f"lost it: {error}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
