"""The audit: who did what, from where, with what outcome."""
