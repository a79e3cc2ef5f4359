"""Inserting rows: many at once, and those that are not there yet."""
