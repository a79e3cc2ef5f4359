"""Telling what the application raises from what the client's socket does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from gunicorn.http.errors import NoMoreData  # type: ignore[import-untyped]


class ApplicationFault(Exception):
    """The application has raised an OSError, or its answer is not what it has announced.

    gunicorn takes every OSError for the client's, who is then not answered at all.
    """


@contextmanager
def of_application() -> Iterator[None]:
    """Raises ApplicationFault for every OSError but those by which the socket says that the client fails."""
    try:
        yield
    except NoMoreData:
        raise
    except OSError as error:
        raise ApplicationFault(f"{type(error).__name__}: {error}") from error


def pieces_of_application(pieces: Iterable[bytes]) -> Iterator[bytes]:
    with of_application():
        yield from pieces
