"""The test kit for authors of kinds. It runs a kind with the service's own parts, with a fault at every point.

    def test_greet_survives_everything():
        check(Greet(), csv="name\\nAnn\\nBob\\n")

The run loop, the checkpoints, the database (SQLite in a temporary directory), the files
and the recovery after a crash are the real ones. Only the engine is not: one thread runs
everything, so that each fault comes at an exact moment.
"""

from jobsvc.testing.checking import CheckFailed, check, run
from jobsvc.testing.outcome import Logged, Outcome
from jobsvc.testing.outside import Outside

__all__ = ["CheckFailed", "Logged", "Outcome", "Outside", "check", "run"]
