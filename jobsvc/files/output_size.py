"""How long the file is that a run makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jobsvc.files.contract import Output


class OutputSize:
    """Opens a run's output, and says how long it is so far. For the run's thread alone."""

    def __init__(self, open_output: Callable[[Mapping[str, Any] | None], Output]) -> None:
        self._open_output = open_output
        self._output: Output | None = None
        self._bytes: int | None = None

    def open(self, mark: Mapping[str, Any] | None) -> Output:
        """See `JobContext.open_output`."""
        self._output = self._open_output(mark)
        return self._output

    def read(self) -> int | None:
        """In bytes, or as it was last known if it is closed by now; None: the run has opened none."""
        if self._output is not None:
            try:
                self._bytes = self._output.tell()
            except ValueError:
                # A closed file has no place.
                self._output = None
        return self._bytes
