"""The service itself: how it is at work, whether it is well, its room, versions and settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from flask import Response

from jobsvc.access.roles import Right
from jobsvc.jobs.states import State
from jobsvc.service.monitoring.details import ServiceDetails
from jobsvc.service.monitoring.disks import Disk
from jobsvc.service.monitoring.overview import STEP_SECONDS, AtWork, Rate
from jobsvc.service.monitoring.told_settings import DEFAULT, ToldSetting
from jobsvc.settings import VARIABLES
from jobsvc.web.access import authorized, needs
from jobsvc.web.dashboard.blueprint import COMMON, PAGE, REFUSED, bp, page
from jobsvc.web.dashboard.charting import chart
from jobsvc.web.dashboard.presenting import LOOKS
from jobsvc.web.openapi.answers import answers
from jobsvc.web.services import services
from jobsvc.web.takes import takes

EVERY_SECONDS = STEP_SECONDS
"""How often the page asks: the throughput has no news sooner."""

A_MINUTE = 60 // STEP_SECONDS
"""So many steps of the throughput."""

SOON_FULL = 2
"""A disk is told to be nearly full when less is free than so many times what is to stay free."""

_SECRETS = frozenset(variable.name for variable in VARIABLES if variable.is_secret)


class Minute(NamedTuple):
    """A minute of the throughput, in items per second. `ago` counts from 1, the newest."""

    ago: int
    mean: float
    most: float


@bp.get("/ui/service")
@needs(Right.OVERSEE)
@takes(*COMMON)
@answers(PAGE, *REFUSED)
def service() -> Response:
    """The page with the service itself."""
    settings = [_setting(each) for each in services().details.get().settings]
    return page("Service", "dashboard/service.html", "dashboard/service_live.html", _found, settings=settings)


def _found() -> Mapping[str, Any]:
    work, details = services().overview.at_work(), services().details.get()
    counts = authorized().counts()
    return {
        **_at_work(work),
        "states": [{"state": state, "look": LOOKS[state], "count": counts[state]} for state in State],
        "details": details,
        "disks": [_disk(disk, details.least_free) for disk in details.disks],
        "versions": _versions(details),
        "every": EVERY_SECONDS,
    }


def _at_work(work: AtWork) -> Mapping[str, Any]:
    rates = [each.rate for each in work.throughput]
    return {
        "work": work,
        "chart": chart(rates),
        "now": _mean(rates[-A_MINUTE:]),
        "most": max(rates, default=0.0),
        "minutes": minutes(work.throughput),
    }


def minutes(throughput: Sequence[Rate]) -> Sequence[Minute]:
    """The throughput by the minute, the newest first."""
    rates = [each.rate for each in reversed(throughput)]
    parts = [rates[first : first + A_MINUTE] for first in range(0, len(rates), A_MINUTE)]
    return [Minute(ago, _mean(part), max(part)) for ago, part in enumerate(parts, 1)]


def _mean(rates: Sequence[float]) -> float:
    return sum(rates) / len(rates) if rates else 0.0


def _disk(disk: Disk, least_free: int) -> Mapping[str, Any]:
    tone = "bad" if disk.free < least_free else "wait" if disk.free < SOON_FULL * least_free else "busy"
    return {"disk": disk, "used": disk.total - disk.free, "tone": tone}


def _versions(details: ServiceDetails) -> Sequence[tuple[str, str]]:
    """Those of the service first."""
    return sorted(details.versions.items(), key=lambda each: (each[0] != "jobsvc", each[0] == "platform", each[0]))


def _setting(setting: ToldSetting) -> Mapping[str, Any]:
    return {"told": setting, "is_secret": setting.name in _SECRETS, "is_default": setting.where == DEFAULT}
