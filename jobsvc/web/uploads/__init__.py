"""What arrives in an upload, and how it becomes a file."""
