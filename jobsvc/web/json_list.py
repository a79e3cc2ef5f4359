"""Lists that may be long, as JSON that is sent as it is read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from flask import Response

from jobsvc.web.conditional import tagged


def json_list(
    name: str, read: Callable[[int], Sequence[Any]], represented: Callable[[Any], dict[str, Any]]
) -> Response:
    """An object with a list called `name`, of all that `read` finds.

    `read` is given the id of the entry that was last (0: none), and returns some more;
    what it raises at first is the request's answer. A list that is read at once has a tag.
    """
    first = read(0)
    more = read(first[-1]["id"]) if first else ()

    def pieces() -> Iterator[str]:
        yield f'{{"{name}":['
        entries, rest, separator = first, more, ""
        while entries:
            yield separator + ",".join(json.dumps(represented(entry)) for entry in entries)
            separator = ","
            entries, rest = rest, read(rest[-1]["id"]) if rest else ()
        yield "]}\n"

    if more:
        return Response(pieces(), mimetype="application/json")
    return tagged(Response("".join(pieces()), mimetype="application/json"))
