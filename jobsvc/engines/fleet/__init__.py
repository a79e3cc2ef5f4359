"""Runs on the machines of a fleet."""
