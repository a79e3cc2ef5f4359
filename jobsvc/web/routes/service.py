"""The service itself: how it is at work, and what it is."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response
from werkzeug.exceptions import PreconditionFailed

from jobsvc.access.roles import Right
from jobsvc.jobs.representation import moment
from jobsvc.service.monitoring.details import ServiceDetails
from jobsvc.service.monitoring.overview import Count
from jobsvc.service.workers import Slots
from jobsvc.web.access import authorized, needs
from jobsvc.web.conditional import conditional
from jobsvc.web.openapi.answers import answers
from jobsvc.web.services import services
from jobsvc.web.takes import takes

bp = Blueprint("service", __name__, url_prefix="/service")


@bp.get("")
@needs(Right.LOOK)
@takes()
@answers({200: "Service", 304: None}, PreconditionFailed)
def at_work() -> Response:
    """Slots, queue and throughput of the whole service, and how many of the caller's jobs are in which state."""
    found = services().overview.at_work()
    return conditional(
        {
            "slots": None if found.slots is None else _slots(found.slots),
            "queued": _count(found.queued),
            "paused": _count(found.paused),
            "throughput": [{"at": moment(at), "rate": rate} for at, rate in found.throughput],
            "jobs": {state: _count(count) for state, count in authorized().counts().items()},
        }
    )


@bp.get("/details")
@needs(Right.OVERSEE)
@takes()
@answers({200: "ServiceDetails", 304: None}, PreconditionFailed)
def details() -> Response:
    """Settings, versions, health, disks and database of the process that answers; no secret is among them."""
    return conditional(_details(services().details.get()))


def _slots(slots: Slots) -> dict[str, int]:
    return {"total": slots.total, "used": slots.used, "free": max(0, slots.total - slots.used)}


def _count(count: Count) -> dict[str, Any]:
    return {"count": count.count, "or_more": count.or_more}


def _details(found: ServiceDetails) -> dict[str, Any]:
    return {
        "started_at": moment(found.started_at),
        "ready": found.not_ready is None,
        "not_ready": found.not_ready,
        "versions": dict(found.versions),
        "settings": [{"name": each.name, "value": each.value, "from": each.where} for each in found.settings],
        "disks": [
            {"holds": disk.holds, "free": disk.free, "total": disk.total, "to_stay_free": found.least_free}
            for disk in found.disks
        ],
        "database": {"place": found.database, "size": found.sizes.get("database"), "log_size": found.sizes.get("log")},
    }
