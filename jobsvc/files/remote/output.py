"""An output in a remote store: every flush stores what is new as a part of its own.

Parts never change. Each checkpoint follows a flush, so what it counts is stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jobsvc.files.output_parts import GONE, Piece, Stretch, continued, marked, part_of, result_name, spans
from jobsvc.files.remote.store import PIECE_BYTES, RemoteStore
from jobsvc.store.errors import OutputLost


class RemoteOutput:
    """Implements `files.contract.Output` in `folder` of `store`."""

    def __init__(self, store: RemoteStore, folder: str, attempt: int, mark: Mapping[str, Any] | None) -> None:
        self._store = store
        self._folder = folder
        self._attempt = attempt
        self._stretches = continued(mark, attempt)
        self._new = bytearray()
        self._stored: int = self._stretches[-1].start
        """Up to where it is stored."""
        if mark is not None:
            parts = self._parts()
            self._pieces(parts)
            # What this very run has written and not counted, before it was opened again.
            self._store.remove(
                [self._name(part) for part in parts if part.attempt == attempt and part.start >= self._stored]
            )

    def write(self, data: bytes) -> int:
        self._new += data
        if len(self._new) >= PIECE_BYTES:
            self._store_new()
        return len(data)

    def tell(self) -> int:
        return self._stored + len(self._new)

    def mark(self, offset: int) -> dict[str, Any]:
        return marked(self._stretches, offset)

    def flush(self) -> None:
        if self._new:
            self._store_new()

    def finish(self) -> None:
        """The parts stay: as long as the job has not succeeded with this attempt, another may need them."""
        self.flush()
        pieces = self._pieces(self._parts())
        self._store.ask(lambda: self._write_result(pieces))

    def _write_result(self, pieces: list[Piece]) -> None:
        # Not tried again here: if anything, all of it is, since a piece by itself can't be.
        store = self._store.patient(None)
        result = store.write(f"{self._folder}/{result_name(self._attempt)}")
        try:
            for data in self._contents(store, pieces):
                result.write(data)
            result.commit()
        except BaseException:
            result.abort()
            raise

    def close(self) -> None:
        self._new.clear()

    def _store_new(self) -> None:
        self._store.put(self._name(Stretch(self._stored, self._attempt)), bytes(self._new))
        self._stored += len(self._new)
        self._new.clear()

    def _name(self, part: Stretch) -> str:
        return f"{self._folder}/{part.part}"

    def _parts(self) -> dict[Stretch, int]:
        """All parts that are there, of whatever run, with their sizes in bytes."""
        found = {part_of(name.rpartition("/")[2]): info.size for name, info in self._store.find(self._folder).items()}
        return {part: size for part, size in found.items() if part is not None}

    def _pieces(self, parts: Mapping[Stretch, int]) -> list[Piece]:
        """The pieces of parts that make up the output so far. Raises OutputLost if one is not there."""
        pieces: list[Piece] = []
        for stretch, length in spans(self._stretches, self._stored):
            at, end = stretch.start, stretch.start + length
            while at < end:
                part = Stretch(at, stretch.attempt)
                size = parts.get(part, 0)
                if size == 0:
                    raise OutputLost(GONE)
                pieces.append(Piece(part, min(size, end - at)))
                at += size
        return pieces

    def _contents(self, store: RemoteStore, pieces: list[Piece]) -> Iterator[bytes]:
        """The bytes of all pieces in order; small ones, of which there can be thousands, are fetched some at once."""
        wanted: list[tuple[str, int, int]] = []
        total = 0
        for part, length in pieces:
            for start in range(0, length, PIECE_BYTES):
                end = min(start + PIECE_BYTES, length)
                if wanted and total + end - start > PIECE_BYTES:
                    yield from _fetched(store, wanted)
                    wanted, total = [], 0
                wanted.append((self._name(part), start, end))
                total += end - start
        if wanted:
            yield from _fetched(store, wanted)


def _fetched(store: RemoteStore, wanted: list[tuple[str, int, int]]) -> list[bytes]:
    try:
        found = store.read_ranges(wanted)
    except FileNotFoundError:
        raise OutputLost(GONE) from None
    if [len(data) for data in found] != [end - start for _, start, end in wanted]:
        raise OutputLost(GONE)
    return found
