"""The errors of a caller that is not known, or may not do what it asks. `web/problems.py` turns them into answers."""

from __future__ import annotations


class AccessRefused(Exception):
    """Base of both."""


class Unauthorized(AccessRefused):
    """No key came with the request, or none that is good."""


class Forbidden(AccessRefused):
    """The caller is known, and may not do that."""
