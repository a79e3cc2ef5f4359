"""How fast a run is, and how long it will still take."""

from __future__ import annotations

from collections.abc import Callable


class ProgressMeter:
    """Measures one run from its first checkpoint's begin to now.

    `clock` gives seconds. `position` of `size` is in the kind's unit.
    """

    def __init__(self, clock: Callable[[], float], position: int, size: int) -> None:
        self._clock = clock
        self._begun = clock()
        self._start = position
        self._size = size
        self._items = 0

    def count(self, items: int) -> None:
        self._items += items

    def figures(self, position: int) -> dict[str, float | None]:
        """`rate` in items per second and `eta_seconds`; None where nothing can be said yet."""
        seconds = self._clock() - self._begun
        if seconds <= 0 or self._items == 0:
            return {"rate": None, "eta_seconds": None}
        covered = position - self._start
        eta = seconds * (self._size - position) / covered if covered > 0 else None
        return {"rate": round(self._items / seconds, 1), "eta_seconds": None if eta is None else round(eta, 1)}
