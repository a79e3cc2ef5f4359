"""Callers: whose a key is, and what each may ask."""
