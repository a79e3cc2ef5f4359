"""Checkpoints: what each writes, and how one comes after the other."""
