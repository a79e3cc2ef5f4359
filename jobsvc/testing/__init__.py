"""The test kit for authors of kinds: runs a kind with the service's own parts, disturbed at every point.

    def test_greet_survives_everything():
        check(Greet(), csv="name\\nAnn\\nBob\\n")

Everything is real but the engine: the run loop, the checkpoints, the database (SQLite
in a temporary directory), the files and the recovery after a crash. One thread runs it
all, so that each fault comes at an exact moment.
"""

from jobsvc.testing.checking import Disturbed, check, run
from jobsvc.testing.outcome import Outcome
from jobsvc.testing.outside import Outside

__all__ = ["Disturbed", "Outcome", "Outside", "check", "run"]
