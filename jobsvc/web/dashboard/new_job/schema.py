"""What the JSON schema of a parameter says, once what it refers to is put in its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

Schema: TypeAlias = dict[str, Any]

MOST_REFERENCES = 20
"""A schema may refer to itself; a form does not follow it any further."""

NULL = {"type": "null"}


def plain(stated: Schema, defined: Mapping[str, Schema]) -> Schema:
    """The schema of a parameter with one `type`, or without one where it may be several things.

    What may be null as well is what it is otherwise. Of several things, one that a text
    can say is a text, and lists and objects are JSON.
    """
    found = dict(stated)
    for _ in range(MOST_REFERENCES):
        if "$ref" in found:
            target = defined.get(found.pop("$ref").rpartition("/")[2], {})
            # What stands beside a reference is said of this parameter alone.
            found = {**{name: value for name, value in target.items() if name != "title"}, **found}
        elif len(found.get("allOf", ())) == 1:
            found = {**found.pop("allOf")[0], **found}
        elif "anyOf" in found or "oneOf" in found:
            found = _one_of(found, defined)
        else:
            break
    if "const" in found:
        found["enum"] = [found.pop("const")]
    return found


def _one_of(found: Schema, defined: Mapping[str, Schema]) -> Schema:
    choices = [choice for choice in found.pop("anyOf", found.pop("oneOf", ())) if choice != NULL]
    if len(choices) == 1:
        return {**choices[0], **found}
    made = [plain(choice, defined) for choice in choices]
    if made and all("enum" in choice for choice in made):
        return {**found, "enum": [value for choice in made for value in choice["enum"]]}
    kinds = {choice.get("type") for choice in made}
    if kinds <= {"integer", "number"} and kinds:
        return {**found, "type": "number"}
    if kinds & {"array", "object"} and "string" not in kinds:
        return {**found, "type": "array" if kinds == {"array"} else "object"}
    return found


def label(name: str, stated: Schema) -> str:
    """What a parameter is called: by its title, if its author has given it one."""
    made = name.replace("_", " ")
    title = stated.get("title")
    if isinstance(title, str) and title and title != made.title():
        return title
    return made[:1].upper() + made[1:] if made.strip() else name


def sentence(text: str) -> str:
    """The same text, as a sentence."""
    text = " ".join(text.split())
    return f"{text[:1].upper()}{text[1:]}{'' if text[-1:] in '.!?' else '.'}"
