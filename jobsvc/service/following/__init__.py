"""Requests that wait until a job has changed."""
