"""Queries on which job goes next, and which gives way to it."""
