"""The errors of a caller that is not known, or may not do what it asks. `web/problems.py` turns them into answers."""

from __future__ import annotations


class AccessRefused(Exception):
    """Base of all."""


class Unauthorized(AccessRefused):
    """No key came with the request, or none that is good."""


class OtherSite(AccessRefused):
    """A browser sends it, and no page of this service has asked it to."""


class NotBySession(AccessRefused):
    """A login is no reason to do this: a key must come with the request."""


class Forbidden(AccessRefused):
    """The caller is known, and may not do that."""
