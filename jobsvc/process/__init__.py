"""How parts become a process."""
