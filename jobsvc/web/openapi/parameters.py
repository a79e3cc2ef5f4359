"""What the names that routes take mean, for the contract: a JSON schema for each, with its description."""

from __future__ import annotations

from typing import Any

from jobsvc.access import expiry, users
from jobsvc.access.acts import Act
from jobsvc.access.roles import Role
from jobsvc.identifiers import Priority
from jobsvc.jobs import version
from jobsvc.jobs.bulk_action import Verb
from jobsvc.jobs.states import State
from jobsvc.service.checking.report import MOST_ROWS
from jobsvc.web.parameters import DEFAULT_LIMIT, DEFAULT_WAIT, MAX_LIMIT, MAX_TEXT, MAX_WAIT

Schema = dict[str, Any]

_WHOLE = f"^{version.SHAPE}$"

_STATE = "|".join(State)

CALLBACK_URL: Schema = {
    "type": "string",
    "format": "uri",
    "description": "gets a signed POST when the job has ended or paused",
}

PRIORITY: Schema = {
    "type": "string",
    "enum": Priority.words(),
    "description": "which of the queued jobs go first; a high one takes the slot of a lower one if none is free",
}

NAMES: dict[str, Schema] = {
    "key": {"type": "string", "format": "password", "description": "the key to log in with"},
    "next": {"type": "string", "description": "where to go on after the login: a path of this service"},
    "live": {"type": "string", "description": "only the part of the page that changes by itself"},
    "give": {
        "type": "string",
        "description": "parameters, with commas between, that may be empty and have a field all the same",
    },
    "said": {"type": "string", "description": "what the page tells of the form that led to it"},
    "limit": {
        "type": "integer",
        "minimum": 1,
        "maximum": MAX_LIMIT,
        "default": DEFAULT_LIMIT,
        "description": "the most entries of a page",
    },
    "refused": {
        "type": "integer",
        "minimum": 0,
        "maximum": MOST_ROWS,
        "default": 0,
        "description": "how many refused rows to show beside the samples of each reason, from the first one on",
    },
    "after": {
        "type": "string",
        "pattern": r"^[0-9]{1,18}(\.[0-9]{1,18})?$",
        "description": "where the page begins: the `next` of the page before",
    },
    "wait": {
        "type": "number",
        "minimum": 0,
        "maximum": MAX_WAIT,
        "default": DEFAULT_WAIT,
        "description": "for how many seconds to wait at most",
    },
    "unless": {
        "anyOf": [{"type": "string", "enum": [str(state) for state in State]}, {"type": "string", "pattern": _WHOLE}],
        "description": "the state, or the version, of the job that you know: the answer comes when it is another one, "
        "or after `wait`. With Retry-After: it came at once, since too many others wait",
    },
    "state": {
        "type": "string",
        "pattern": f"^({_STATE})(,({_STATE}))*$",
        "description": "only jobs in this state, or in one of several: running,pausing",
    },
    "text": {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_TEXT,
        "description": "only jobs with this text in the id, which has the user and the kind, or in the file's name; "
        "small and capital letters are alike",
    },
    "kind": {"type": "string", "description": "only jobs of this kind"},
    "user": {"type": "string", "description": "only jobs of this user"},
    "job": {"type": "string", "description": "only what the job with this id made"},
    "rollback": {
        "type": "boolean",
        "default": False,
        "description": "then remove what the job has made",
    },
    "paused_by": {"type": "string", "description": "with `resume`: only jobs that the action with this id has paused"},
    "dry_run": {"type": "boolean", "default": False, "description": "only count what would be done"},
    "callback_url": CALLBACK_URL,
    "priority": PRIORITY,
    "role": {"type": "string", "enum": [str(role) for role in Role], "description": "what the key is for"},
    "kinds": {
        "type": ["array", "string", "null"],
        "items": {"type": "string"},
        "description": "the kinds of job that the key may start, as a list or with commas between; all, if not given",
    },
    "expires": {"type": ["string", "null"], "description": f"when the key ends: {expiry.ALLOWED}"},
    "id": {"type": "string", "description": "the job's id"},
    "target": {"type": "string", "description": "only what was done to the job, the action or the key with this id"},
    "size": {
        "type": "integer",
        "minimum": 0,
        "description": "the size of the whole file in bytes, where only its beginning is sent",
    },
    "action": {"type": "string", "enum": ["start", "stop", "terminate"], "description": "what to do with the job"},
}
"""Those of queries and of bodies. A route's own names stand here, too."""

ACTIONS = "actions.ask"
"""The endpoint for actions on many jobs, where some names mean something else."""

AUDIT = "audit.listing"
"""The endpoint for the audit."""

PREVIEWS = "previews.preview"
"""The endpoint for previews."""

OF_ROUTES: dict[tuple[str, str], Schema] = {
    (ACTIONS, "action"): {
        "type": "string",
        "enum": [str(verb) for verb in Verb],
        "description": "what to do with the jobs",
    },
    (PREVIEWS, "kind"): {"type": "string", "description": "what is to be done with the rows; by default baselineCSV"},
    ("dashboard.new", "kind"): {"type": "string", "description": "the kind of the job that is to be begun"},
    (ACTIONS, "rollback"): {
        "type": "boolean",
        "default": False,
        "description": "with `terminate`: then remove what the jobs have made",
    },
    ("jobs.one", "wait"): {
        "type": "number",
        "minimum": 0,
        "maximum": MAX_WAIT,
        "default": DEFAULT_WAIT,
        "description": "with `unless`: for how many seconds to wait at most",
    },
    ("actions.one", "wait"): {
        "type": "number",
        "minimum": 0,
        "maximum": MAX_WAIT,
        "default": 0.0,
        "description": "for how many seconds to wait at most until the action is over",
    },
    (AUDIT, "user"): {"type": "string", "description": "only what this user did"},
    (AUDIT, "action"): {"type": "string", "enum": [str(act) for act in Act], "description": "only what is called so"},
    ("keys.create", "user"): {"type": "string", "description": f"the name of the key's user: {users.ALLOWED}"},
}
"""By endpoint and name: what a name of `NAMES` means at that route alone."""

PATH_NAMES: dict[str, Schema] = {
    "job_id": {"type": "string", "description": "the job's id"},
    "action_id": {"type": "string", "description": "the action's id"},
    "key_id": {"type": "string", "description": "the key's id, as the list of keys shows it"},
    "name": {"type": "string", "description": "the name of a kind"},
    "file": {"type": "string", "description": "the name of a file"},
    "version": {"type": "string", "description": "the version of all files together, as pages name it"},
}

IDEMPOTENCY_KEY: Schema = {
    "type": "string",
    "minLength": 1,
    "maxLength": 255,
    "pattern": "^[ -~]+$",
    "description": "the same key with the same request gets what the first one made",
}

FILE: Schema = {
    "type": "string",
    "format": "binary",
    "contentMediaType": "application/octet-stream",
    "description": "the CSV, plain or as gzip",
}


def without_null(schema: Schema) -> Schema:
    """The schema as a form or a query has it, where what is not given is left out."""
    plain = {name: value for name, value in schema.items() if name != "default" or value is not None}
    choices = [choice for choice in plain.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) == len(plain.get("anyOf", ())):
        return plain
    del plain["anyOf"]
    return {**plain, **choices[0]} if len(choices) == 1 else {**plain, "anyOf": choices}


def without_default(schema: Schema) -> Schema:
    """The schema of what a query may have: its default is told in words.

    Generated clients send the defaults of a query that they know. Not to give a parameter can be
    something else: without `wait` some requests do not wait, and what a body has is not given twice.
    """
    plain = dict(schema)
    default = plain.pop("default", None)
    if default is not None:
        said = str(default).lower() if isinstance(default, bool) else default
        plain["description"] = f"{plain.get('description', '')}; by default {said}".removeprefix("; ")
    return plain
