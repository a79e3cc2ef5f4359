"""Queries for lists of jobs: a page of them, and the search for a text."""
