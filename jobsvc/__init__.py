"""jobsvc: long jobs over CSV files that can be paused, resumed and terminated."""
