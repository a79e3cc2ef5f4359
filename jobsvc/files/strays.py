"""Files that look like ours and belong to no job: they are moved aside first, and removed a week later.

A process that dies while it receives an upload leaves one behind. An older database
that was restored does not know the jobs that came after it, and their files are
needed again when the newer one comes back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from jobsvc.store.errors import FilesDown

STRAYS = "strays"
"""The folder in the store for what was moved aside: `strays/<when>/<name that it had>`."""

KEPT = timedelta(days=7)
"""How long it is kept there."""

_MOMENT = "%Y%m%dT%H%M%SZ"


@dataclass
class Tidied:
    """What was done about strays. Names are relative to the store."""

    aside: list[str] = field(default_factory=list)
    """Where they are now."""
    back: list[str] = field(default_factory=list)
    """Moved back: their jobs are known again."""
    removed: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    """What could not be moved or removed, and why."""

    @contextmanager
    def trying(self, name: str) -> Iterator[None]:
        """Note what can't be moved (root's files, a folder that can't be written to), and go on with the next one."""
        try:
            yield
        except FileNotFoundError:
            # Somebody else was first.
            return
        except (OSError, FilesDown) as error:
            self.stuck.append(f"{name}: {error}")


def moment(at: datetime) -> str:
    """The name of the folder for what is moved aside now."""
    return at.astimezone(UTC).strftime(_MOMENT)


def moved_at(name: str) -> datetime | None:
    """When the files in the folder of this name were moved; None if that is not one of ours."""
    try:
        found = datetime.strptime(name, _MOMENT).replace(tzinfo=UTC)
    except ValueError:
        return None
    return found if moment(found) == name else None
