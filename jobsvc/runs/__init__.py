"""What a run of a job does, from its claim to where it stops."""
