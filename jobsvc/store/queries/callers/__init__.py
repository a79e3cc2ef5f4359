"""Queries on what is known of callers."""
