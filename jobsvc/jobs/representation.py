"""Jobs as JSON, as clients and webhooks get to see them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Row, RowMapping

from jobsvc.jobs.bulk_action import BulkAction, Demand, Preview, Skipped
from jobsvc.jobs.job import Job
from jobsvc.jobs.samples import Series
from jobsvc.jobs.version import version_of
from jobsvc.store.queries import log_rows
from jobsvc.store.queries.record_fields import Header, OddRecord, fields, shown


def moment(at: datetime | None, timespec: str = "seconds") -> str | None:
    """A moment as RFC 3339 has it, in UTC."""
    return None if at is None else at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec=timespec) + "Z"


_TYPE = re.compile(r'\{"type":"([a-z.]+)"')
"""How a message begins: see `webhooks/message.py`."""

_LINKS = (
    "events",
    "log",
    "webhooks",
    "pause",
    "resume",
    "terminate",
    "rollback",
    "apply",
    "samples",
    "report",
    "failed",
    "unprocessed",
    "result",
)

_LISTS = ("records", "teams")
"""Lists that can be asked for what a job made: for any job, whatever its kind. They may be empty."""


def job_json(job: Job) -> dict[str, Any]:
    """A job. Nothing in it moves with the clock: it changes only where the job's row does."""
    shown = {
        "id": job.id,
        "kind": job.kind,
        "state": job.state,
        "user": job.user,
        "priority": job.priority.word,
        "created_at": moment(job.created_at),
        "started_at": moment(job.started_at),
        "finished_at": moment(job.finished_at),
        "progress": {
            "done": job.done,
            "failed": job.failed,
            "blank": job.blank,
            "percent": job.percent,
            "rate": job.rate,
            "eta_seconds": job.eta_seconds,
        },
        "params": dict(job.params),
        "filename": job.filename,
        "file": _file_json(job),
        "applied_from": job.applied_from,
        "applied_as": job.applied_as,
        "callback_url": job.callback_url,
        "warnings": job.warnings,
        "error": job.unreadable or job.error,
        "attempt": job.attempt,
        "rolled_back": job.rolled_back,
        "rollback": _rollback_json(job),
        "links": {
            "self": f"/jobs/{job.id}",
            **{name: f"/jobs/{job.id}/{name}" for name in _LINKS},
            **{name: f"/{name}?job={job.id}" for name in _LISTS},
        },
    }
    return {**shown, "version": version_of(shown)}


def _file_json(job: Job) -> dict[str, Any] | None:
    if job.file is None:
        return None
    return {"name": job.filename, "bytes": job.file.bytes, "sha256": job.file.sha256}


def _rollback_json(job: Job) -> dict[str, Any] | None:
    """None until it has begun: until then the job is on its way to its end, and a client says so."""
    if job.rollback_total is None and not job.rolled_back:
        return None
    return {"percent": job.rollback_percent, "removed": job.rollback_removed, "left": job.done}


def samples_json(series: Series) -> dict[str, Any]:
    """Points of a job's progress, each with what it says of the time since the one before."""
    shown = []
    ran_before = 0.0
    for point, rate in zip(series.points, series.rates(), strict=True):
        at = moment(datetime.fromtimestamp(point.at / 1000, UTC), "milliseconds")
        ran = round(point.ran - ran_before, 3)
        shown.append({"at": at, "done": point.done, "failed": point.failed, "ran": ran, "rate": rate})
        ran_before = point.ran
    return {"samples": shown, "every": series.every}


def action_json(action: BulkAction) -> dict[str, Any]:
    return {
        "id": action.id,
        **_demand_json(action.demand),
        "asked_by": action.user,
        "created_at": moment(action.created_at),
        "finished_at": moment(action.finished_at),
        "found": action.found,
        "done": action.done,
        "already": action.already,
        "skipped": _skipped_json(action.skipped),
        "left": action.left,
        "stopping": action.stopping,
        "links": {"self": f"/jobs/actions/{action.id}"},
    }


def preview_json(demand: Demand, preview: Preview) -> dict[str, Any]:
    return {
        "dry_run": True,
        **_demand_json(demand),
        "found": preview.found,
        "would_do": preview.would_do,
        "already": preview.already,
        "skipped": _skipped_json(preview.skipped),
        "jobs": preview.ids,
    }


def _demand_json(demand: Demand) -> dict[str, Any]:
    named = demand.filter
    wanted = {name: getattr(named, name) for name in ("state", "kind", "user", "text", "paused_by")}
    return {"action": demand.verb, "rollback": demand.rollback, "filter": wanted}


def _skipped_json(skipped: Skipped) -> dict[str, Any]:
    reasons = [{"why": why, "count": passed.count, "jobs": list(passed.ids)} for why, passed in skipped.items()]
    return {"count": skipped.total, "reasons": reasons}


def record_json(header: Header, record: Row[Any]) -> bytes:
    """A record as JSON text. One that is not what its job's columns say is shown as it stands in the database."""
    made = {
        "job_id": header.job_id,
        "row": record.row,
        "date": record.date,
        "data": None,
    }
    try:
        made["data"] = dict(zip(header.columns, fields(header, record.data), strict=True))
        return orjson.dumps(made)
    except (OddRecord, TypeError) as error:
        why = str(error) if isinstance(error, OddRecord) else "it holds what JSON can't"
        made |= {"date": shown(record.date), "data": None, "error": why, "raw": shown(record.data)}
    return orjson.dumps(made)


def event_json(event: RowMapping) -> dict[str, Any]:
    return {
        "at": moment(event["at"], "milliseconds"),
        "from": event["from"],
        "to": event["to"],
        "who": event["who"],
        "why": event["why"],
        "request_id": event["request_id"],
    }


def log_json(lines: Sequence[RowMapping], after: int) -> list[dict[str, Any]]:
    """Lines of a job's log, which follow the line with the number `after`; a line for each gap says what is missing."""
    told = []
    for line in lines:
        if line["line"] > after + 1:
            told.append(_gap(line, line["line"] - after - 1))
        at = moment(line["at"], "milliseconds")
        said = {name: line[name] for name in ("line", "attempt", "level", "text", "item")}
        told.append({"at": at, **said, "said_by": "kind" if line["by_kind"] else "service"})
        after = line["line"]
    return told


def _gap(following: RowMapping, missing: int) -> dict[str, Any]:
    return {
        "at": moment(following["at"], "milliseconds"),
        "line": following["line"] - 1,
        "attempt": following["attempt"],
        "level": "warning",
        "text": f"{missing} lines before this were dropped: a job keeps its newest {log_rows.MAX_LINES} lines",
        "item": None,
        "said_by": "service",
    }


def webhook_json(message: RowMapping) -> dict[str, Any]:
    return {
        "id": message["message_id"],
        "type": found[1] if (found := _TYPE.match(message["beginning"])) else None,
        "url": message["url"],
        "created_at": moment(message["created_at"], "milliseconds"),
        "attempts": message["attempts"],
        "next_at": moment(message["next_at"], "milliseconds"),
        "delivered_at": moment(message["delivered_at"], "milliseconds"),
        "last_error": message["last_error"],
    }
