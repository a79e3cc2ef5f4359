"""Check first, then apply: what a job has found in its file, and the real job of a dry run's file."""
