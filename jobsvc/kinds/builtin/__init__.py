"""The kinds that ship with the service."""
