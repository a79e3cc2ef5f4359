"""What a run leaves behind of how fast it was."""
