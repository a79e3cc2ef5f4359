"""Looking at the beginning of an upload: how a job would read it, and nothing that stays."""
