"""Bars on a terminal, lines elsewhere: how far an upload, a download or a job is. Both go to standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from jobsvc.cli.client.output import Output, items_of, printable
from jobsvc.jobs.states import FINISHED

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

LINE_SECONDS = 5.0
"""Where it is no terminal, a line tells of progress so often; of a new state at once."""

MIN_WIDTH_OF_A_BAR = 80
"""On a narrower terminal there is room for the words alone."""


class Bar(Protocol):
    def moved(self, done_bytes: int, size: int | None) -> None:
        """So much of an upload or a download has gone; its size may not be known."""

    def job(self, job: dict[str, Any], items: str) -> None:
        """A job stands so; `items` is what its items are called."""

    def counted(self, done: int, total: int | None) -> None:
        """So many jobs of an action have obeyed."""


@contextmanager
def open_bar(output: Output, what: str) -> Iterator[Bar]:
    """A bar for an upload, a download or a job, which is gone at the end; lines where standard error is no terminal."""
    if output.as_json:
        yield Silent()
    elif not sys.stderr.isatty():
        yield Lines(what, output.note)
    else:
        with _rich_progress() as progress:
            yield Rich(progress, progress.add_task(what, total=None, told=""))


class Silent:
    def moved(self, done_bytes: int, size: int | None) -> None:
        pass

    def job(self, job: dict[str, Any], items: str) -> None:
        pass

    def counted(self, done: int, total: int | None) -> None:
        pass


class Lines:
    def __init__(self, what: str, note: Callable[[str], None], clock: Callable[[], float] = monotonic) -> None:
        self._what, self._note, self._clock = what, note, clock
        self._last: str | None = None
        self._next = clock() + LINE_SECONDS

    def moved(self, done_bytes: int, size: int | None) -> None:
        if self._is_time():
            of = f" of {size:,}" if size else ""
            self._note(f"{self._what}: {done_bytes:,}{of} bytes")

    def job(self, job: dict[str, Any], items: str) -> None:
        if job["state"] in FINISHED:
            # How it has ended is told at the end.
            return
        if job["state"] != self._last or self._is_time():
            self._last = job["state"]
            self._note(f"{job['state']}: {told(job, items)}")

    def counted(self, done: int, total: int | None) -> None:
        if self._is_time():
            self._note(f"{self._what}: {_of(done, total)}")

    def _is_time(self) -> bool:
        if self._clock() < self._next:
            return False
        self._next = self._clock() + LINE_SECONDS
        return True


class Rich:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def moved(self, done_bytes: int, size: int | None) -> None:
        self._progress.update(self._task, completed=done_bytes, total=size, told=_megabytes(done_bytes, size))

    def job(self, job: dict[str, Any], items: str) -> None:
        percent = (job["rollback"] if _is_rolling_back(job) else job["progress"])["percent"]
        self._progress.update(
            self._task, description=job["state"], completed=percent or 0.0, total=100.0, told=told(job, items)
        )

    def counted(self, done: int, total: int | None) -> None:
        self._progress.update(self._task, completed=done, total=total, told=_of(done, total))


def _megabytes(done_bytes: int, size: int | None) -> str:
    of = f" of {size / 1e6:,.1f}" if size else ""
    return f"{done_bytes / 1e6:,.1f}{of} MB"


def _of(done: int, total: int | None) -> str:
    return f"{done:,} jobs" if total is None else f"{done:,} of {total:,} jobs"


def _rich_progress() -> Progress:
    from rich.console import Console  # noqa: PLC0415 (a tenth of a second)
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn  # noqa: PLC0415
    from rich.table import Column  # noqa: PLC0415

    console = Console(stderr=True)
    if console.width < MIN_WIDTH_OF_A_BAR:
        # One column: of two, the state would be the one that is left out where there is no room for both.
        one = TextColumn("{task.description:<11} {task.fields[told]}", markup=False)
        return Progress(one, console=console, transient=True)
    columns: list[ProgressColumn] = [
        TextColumn("{task.description}", markup=False, table_column=Column(min_width=11)),
        BarColumn(),
        TextColumn("{task.fields[told]}", markup=False),
    ]
    return Progress(*columns, console=console, transient=True)


def told(job: dict[str, Any], items: str) -> str:
    """How far a job is, in words; `items` is what its items are called."""
    progress = job["progress"]
    if _is_rolling_back(job):
        return f"rolling back, {job['rollback']['percent'] or 0.0} %"
    parts = [f"{items_of(progress['done'], items)} done", f"{progress['failed']:,} refused"]
    if progress["percent"] is not None:
        parts.insert(0, f"{progress['percent']} %")
    if progress["rate"]:
        parts.append(f"{progress['rate']:,.0f} {items}/s")
    if progress["eta_seconds"] is not None:
        parts.append(f"{duration(progress['eta_seconds'])} left")
    return printable(", ".join(parts))


def _is_rolling_back(job: dict[str, Any]) -> bool:
    return bool(job["rollback"]) and not job["rolled_back"]


def duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
