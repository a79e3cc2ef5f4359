"""How parts become a process: the application, a worker, locks, the end."""
