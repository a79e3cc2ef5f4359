"""What `make bench` runs: how fast the service is, and against what. See docs/performance.md."""
