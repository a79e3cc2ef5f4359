"""HTTP in, HTTP out: blueprints that hold routes and nothing else."""
