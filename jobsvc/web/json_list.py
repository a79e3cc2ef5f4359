"""Lists that may be long, as JSON that is sent as it is read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from flask import Response


def json_list(
    name: str, read: Callable[[int], Sequence[Any]], represented: Callable[[Any], dict[str, Any]]
) -> Response:
    """An object with a list called `name`, of all that `read` finds.

    `read` is given the id of the entry that was last (0: none), and returns some more;
    what it raises at first is the request's answer.
    """
    first = read(0)

    def pieces() -> Iterator[str]:
        yield f'{{"{name}":['
        entries, separator = first, ""
        while entries:
            yield separator + ",".join(json.dumps(represented(entry)) for entry in entries)
            separator = ","
            entries = read(entries[-1]["id"])
        yield "]}\n"

    return Response(pieces(), mimetype="application/json")
