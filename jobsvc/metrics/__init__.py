"""What this process measures of itself, and how it is told to Prometheus. Only this room imports prometheus_client."""

from jobsvc.metrics.shared_files import settle

# Before anything here imports prometheus_client, which then decides where to keep its values.
settle()
