"""PostgreSQL, which many processes share."""
