"""The command line: `python -m jobsvc`."""

from jobsvc.cli.main import main

main(prog_name="python -m jobsvc")
