"""Keys: who is let in."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from jobsvc.access import expiry
from jobsvc.access.acts import Act
from jobsvc.access.roles import Right, Role
from jobsvc.jobs.errors import InvalidParameter, UnknownKind
from jobsvc.jobs.representation import moment
from jobsvc.service.callers.keys import ApiKey, NewApiKey, UnknownKey
from jobsvc.web.access import caller, needs
from jobsvc.web.openapi.answers import answers
from jobsvc.web.services import services
from jobsvc.web.takes import given, takes

bp = Blueprint("keys", __name__, url_prefix="/keys")


@bp.get("")
@needs(Right.MANAGE, Act.LIST_KEYS)
@takes()
@answers("ApiKeys")
def listing() -> dict[str, Any]:
    """All keys that were made, the oldest first, without their secrets."""
    return {"keys": [key_json(key) for key in services().keys.every()]}


@bp.post("")
@needs(Right.MANAGE, Act.CREATE_KEY)
@takes("user", "role", "kinds", "expires", in_body=True)
@answers({201: "NewApiKey"}, UnknownKind)
def create() -> tuple[dict[str, Any], int]:
    """Make a key. It is shown in this answer, and never again."""
    made = services().keys.create(
        NewApiKey(_text("user", "the name of its user"), _role(), _kinds(), _expires()), by=caller().user
    )
    return {**key_json(made.key), "key": made.text}, 201


@bp.delete("/<key_id>")
@needs(Right.MANAGE, Act.REVOKE_KEY)
@takes()
@answers("ApiKey", UnknownKey)
def revoke(key_id: str) -> dict[str, Any]:
    """Let nobody in with a key any more. It stays in the list."""
    return key_json(services().keys.revoke(key_id, by=caller().user))


def key_json(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "user": key.user,
        "role": key.role,
        "kinds": None if key.kinds is None else list(key.kinds),
        "created_at": moment(key.created_at),
        "created_by": key.created_by,
        "expires_at": moment(key.expires_at),
        "revoked_at": moment(key.revoked_at),
        "last_used_at": moment(key.last_used_at),
    }


def _text(name: str, what: str) -> str:
    value = given().get(name)
    if not isinstance(value, str):
        raise InvalidParameter(name, f"it must be {what}")
    return value


def _role() -> Role:
    text = _text("role", f"one of {', '.join(Role)}")
    try:
        return Role(text)
    except ValueError:
        raise InvalidParameter("role", f"{text[:40]!r} must be one of {', '.join(Role)}") from None


def _kinds() -> list[str] | None:
    """The kinds that the key may start: a JSON list, or names with commas between."""
    value = given().get("kinds")
    if value is None:
        return None
    names = [name.strip() for name in value.split(",")] if isinstance(value, str) else value
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise InvalidParameter("kinds", "it must be a list of kinds, or their names with commas between")
    known = services().kinds
    for name in names:
        if name not in known:
            raise UnknownKind(name, sorted(known))
    return names


def _expires() -> Any:
    value = given().get("expires")
    if value is None:
        return None
    try:
        return expiry.read(str(value))
    except ValueError as error:
        raise InvalidParameter("expires", str(error)) from None
