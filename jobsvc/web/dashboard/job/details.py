"""What is told of a job beside where it stands: it changes far less often, and is made anew only when it has."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from flask import request, url_for

from jobsvc.access.errors import Forbidden
from jobsvc.access.roles import Right
from jobsvc.jobs.errors import FilesRemoved, NotAllowed
from jobsvc.jobs.job import Job
from jobsvc.jobs.representation import job_json, log_json, webhook_json
from jobsvc.jobs.states import FINISHED, STANDING_STILL
from jobsvc.service.results import NoResult
from jobsvc.version import VERSION
from jobsvc.web.access import authorized, caller
from jobsvc.web.dashboard.job.commands import commands
from jobsvc.web.dashboard.job.made import MOST_ROWS, made
from jobsvc.web.dashboard.job.standing import items_of
from jobsvc.web.dashboard.job.timeline import timeline
from jobsvc.web.dashboard.steering import buttons, can_apply, can_roll_back, is_check
from jobsvc.web.services import services

MOST_REFUSED = 100

MOST_EVENTS = 200

EVENTS_AT_ONCE = 8
"""So many are shown at once, the others on request."""

MOST_LINES = 50

MOST_WEBHOOKS = 20

ROLLBACK_WITH_IT = "rollback-with-it"
"""Stands beside the names of buttons where a terminate may roll back too."""


def tag(job: Job) -> str:
    """Another one whenever the details are, for whoever looks."""
    who = caller()
    shown = job_json(job)["version"].partition("-")[0]
    counts = (
        job.failed,
        job.blank,
        min(job.done, MOST_ROWS),
        job.rollback,
        job.files_removed_at,
        can_roll_back(job, services().kinds),
    )
    # While it runs they move all the time, and are told above.
    moving = (job.done, job.taken_back) if job.state in FINISHED else ()
    told = (
        VERSION,
        who.role,
        who.scope.owner,
        who.kinds,
        request.host_url,
        shown,
        counts,
        moving,
        authorized().told(job),
    )
    return hashlib.blake2b(repr(told).encode(errors="replace"), digest_size=12).hexdigest()


def details(job: Job) -> Mapping[str, Any]:
    """For the template."""
    there = authorized()
    recent = there.recent(job, events=MOST_EVENTS, lines=MOST_LINES, webhooks=MOST_WEBHOOKS)
    moments = timeline(recent.events)
    checks = is_check(job, services().kinds)
    downloads = _downloads(job)
    found = None if checks else made(job, there)
    return {
        "job": job,
        "items": items_of(job, services().kinds),
        "checks": checks,
        "is_over": job.state in FINISHED,
        "can_apply": can_apply(job, caller(), services().kinds),
        "report": services().reports.of(job, MOST_REFUSED) if job.failed or checks else None,
        "made": found,
        "export_url": None if found is None else _export_url(found.what, job),
        "moments": moments[:EVENTS_AT_ONCE],
        "earlier": moments[EVENTS_AT_ONCE:],
        "has_more_moments": len(moments) == MOST_EVENTS,
        "lines": log_json(recent.log.lines, recent.log.after) if recent.log.lines else [],
        "lines_before": recent.log.after,
        "webhooks": [webhook_json(message) for message in recent.webhooks],
        "params": _params(job.params),
        "downloads": downloads,
        "commands": commands(
            job.id,
            request.host_url,
            buttons=_names(job),
            downloads=downloads,
            keys=services().keys.are_needed(),
        ),
    }


def _export_url(of: str, job: Job) -> str | None:
    """Where an export begins of what a job has made, for those who may start one."""
    who = caller()
    for kind in services().kinds.values():
        if kind.exports == of and Right.START in who.role.rights and (who.kinds is None or kind.name in who.kinds):
            return url_for("dashboard.new", kind=kind.name, job=job.id)
    return None


def _names(job: Job) -> Sequence[str]:
    """What can be asked of it by whoever looks."""
    kinds = services().kinds
    found = [button.name for button in buttons(job, caller(), kinds)]
    found += [ROLLBACK_WITH_IT] if can_roll_back(job, kinds) else []
    return found + (["apply"] if can_apply(job, caller(), kinds) else [])


def _params(params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Those that say something, as texts."""
    found = []
    for name, value in params.items():
        if value is None:
            continue
        text = {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
        found.append((name, {"": "(empty)", "\t": "tab"}.get(text, text)))
    return found


def _downloads(job: Job) -> Mapping[str, int | None]:
    """By the names of their routes; with the size in bytes where it is known."""
    found: dict[str, int | None] = {}
    if job.files_removed_at is not None:
        return found
    with suppress(NotAllowed, NoResult, FilesRemoved, Forbidden):
        found["result"] = authorized().result(job).size
    if job.failed:
        found["failed"] = None
    kind = services().kinds.get(job.kind)
    takes_file = kind is not None and kind.takes_file
    # One that has never begun does not know the size of its file.
    is_left = not job.saw_everything and not 0 < job.size <= job.position
    if takes_file and job.state in STANDING_STILL and is_left:
        found["unprocessed"] = None
    return found
