"""References within the contract."""

from __future__ import annotations

SCHEMAS = "#/components/schemas/{model}"

OF_KINDS = "kinds.{model}"
"""The names of schemas that kinds bring: what people call theirs must not get in the way of ours."""


def reference(schema: str) -> dict[str, str]:
    return {"$ref": SCHEMAS.format(model=schema)}
