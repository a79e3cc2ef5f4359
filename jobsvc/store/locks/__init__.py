"""One owner for each database and directory."""
