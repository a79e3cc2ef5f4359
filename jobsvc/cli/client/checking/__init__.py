"""Checking a file first, and applying what was checked."""
