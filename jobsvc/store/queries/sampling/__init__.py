"""Queries on what runs have come to over time."""
