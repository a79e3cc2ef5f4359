"""What answers look like, as models: the contract has their JSON schemas. The tests hold every answer against them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from jobsvc.access.acts import Act, Outcome
from jobsvc.access.roles import Role
from jobsvc.jobs.bulk_action import Verb
from jobsvc.jobs.states import State


class Shape(BaseModel):
    """Base of the shapes. A field may be added to an answer: clients let pass what they do not know."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Problem(Shape):
    """Why a request was refused: a problem document, RFC 9457."""

    type: str
    """A URN that names the problem; about:blank where the status says it all."""
    title: str
    status: int
    detail: str | None = None
    """What was wrong with this request, and what is allowed."""
    parameter: str | None = None
    """The parameter that is not usable."""
    state: State | None = None
    """The state of the job that does not allow what was asked."""
    limit: str | None = None
    """The setting that says how much each user may have."""
    allowed: int | None = None
    """How much that is."""
    used: int | None = None
    """How much the user has already."""
    errorType: str | None = None  # noqa: N815 (the original's word)
    """The problem's name as the original's routes tell it, where the server refuses before it knows the route."""
    message: str | None = None
    """The same as `detail`, beside `errorType`."""
    request_id: str | None = None
    """For a failure of the service: the request's id, which the service's log has on each line about it."""


class RefusedRequest(Shape):
    """Why a request was refused, as the original's routes tell it."""

    errorType: str  # noqa: N815 (the original's word)
    message: str
    """What was wrong with this request, and what is allowed."""


class JobId(Shape):
    """The job that was created."""

    job_id: str = Field(serialization_alias="Job ID")


class Status(Shape):
    status: str
    """What has become of the job, as a sentence."""


class Progress(Shape):
    done: int
    """Items that took effect."""
    failed: int
    """Items that were refused."""
    blank: int
    """Lines with nothing in them."""
    percent: float | None
    rate: float | None
    """Items per second, over the latest run."""
    eta_seconds: float | None


class RollbackProgress(Shape):
    percent: float
    removed: int
    """Items that were undone so far."""
    left: int
    """Items that are yet to be undone: the same as `done`."""


class StoredFile(Shape):
    """A file as it is stored: unpacked if it came as gzip, and UTF-8 if it was UTF-16 or UTF-32."""

    name: str | None
    """What the client called it."""
    bytes: int
    sha256: str
    """The SHA-256 of its bytes, in hexadecimal digits."""


class Job(Shape):
    """A job, as it stands now."""

    id: str
    kind: str
    state: State
    user: str
    priority: Literal["low", "normal", "high"]
    """Queued jobs with a higher one go first; a high one takes the slot of a lower one if none is free."""
    created_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    progress: Progress
    params: dict[str, Any]
    """Its parameters with their defaults, by the schema that its kind has in /kinds."""
    filename: str | None
    """What the client called its file."""
    file: StoredFile | None
    """Its upload. Null: it has none, or an earlier version has received it."""
    applied_from: str | None
    """The dry run that was applied as this job."""
    applied_as: list[str]
    """Of a dry run, the jobs that were made of its file, the latest twenty. Some may be deleted by now."""
    callback_url: str | None
    warnings: list[str]
    error: str | None
    attempt: int
    """Its runs so far."""
    rolled_back: bool
    rollback: RollbackProgress | None
    """How far a rollback is that was asked for."""
    links: dict[str, str]
    version: str
    """Another one whenever any other field is. As the ETag of the job it stands in quotes."""


class Jobs(Shape):
    jobs: list[Job]
    next: str | None
    """The `after` of the next page; null: this is the last one."""


class Filter(Shape):
    """Which jobs an action is for; null: whatever it is."""

    state: str | None
    """One state, or several with commas between."""
    kind: str | None
    user: str | None
    text: str | None
    """A part of the id, or of the file's name."""
    paused_by: str | None
    """The action whose jobs are meant."""


class PassedOver(Shape):
    """Jobs that were passed over for one reason."""

    why: str
    count: int
    jobs: list[str]
    """The ids of the first ten."""


class Skipped(Shape):
    count: int
    reasons: list[PassedOver]


class Action(Shape):
    """An action on many jobs, as it stands now."""

    id: str
    action: Verb
    rollback: bool
    filter: Filter
    asked_by: str
    created_at: datetime
    finished_at: datetime | None
    """Null while there are jobs left."""
    found: int | None
    """Jobs that the filter found; null while an earlier action is under way."""
    done: int
    """Jobs that it has asked."""
    already: int
    """Jobs that were there already, or on their way."""
    skipped: Skipped
    left: int | None
    """Jobs that it has yet to come to."""
    stopping: int
    """Jobs that it has asked to stop, and that have yet to stand still."""
    links: dict[str, str]


class ActionPreview(Shape):
    """What an action on many jobs would do now."""

    dry_run: bool
    action: Verb
    rollback: bool
    filter: Filter
    found: int
    would_do: int
    already: int
    skipped: Skipped
    jobs: list[str]
    """The ids of the oldest jobs that it would ask, up to a hundred."""


class ActionOrPreview(RootModel[Action | ActionPreview]):
    """The action, or for a dry run what it would do."""


class Actions(Shape):
    actions: list[Action]
    next: str | None
    """The `after` of the next page; null: this is the last one."""


class Event(Shape):
    """One change of a job's state."""

    at: datetime | None
    from_: State | None = Field(serialization_alias="from")
    to: State
    who: str
    """A user, or `engine`, `run` or `service`."""
    why: str | None
    request_id: str | None
    """The id of the request that asked for it, or that has made the job."""


class Events(Shape):
    events: list[Event]


class LogLine(Shape):
    """A line of a job's log."""

    at: datetime | None
    line: int
    """Its number, from 1 on; lines that were dropped are counted."""
    attempt: int
    level: Literal["debug", "info", "warning", "error"]
    text: str
    item: int | None
    """The number of the item that it is about."""
    said_by: Literal["kind", "service"]


class Log(Shape):
    lines: list[LogLine]
    next: str | None
    """The `after` of the next page; null: this is the last one so far."""


class Webhook(Shape):
    """A message to a job's `callback_url`."""

    id: str
    type: str | None
    url: str
    created_at: datetime | None
    attempts: int
    next_at: datetime | None
    delivered_at: datetime | None
    last_error: str | None


class Webhooks(Shape):
    webhooks: list[Webhook]


class Kind(Shape):
    """A kind of job."""

    name: str
    description: str
    items: str
    """What the items of its jobs are called, in the plural: rows, days."""
    takes_file: bool
    can_roll_back: bool
    params: dict[str, Any]
    """The JSON schema of its parameters."""
    links: dict[str, str]


class Kinds(Shape):
    kinds: list[Kind]


class Record(Shape):
    """What a job of baselineCSV made of a row."""

    job_id: str | None
    """Null: its job is not there."""
    row: int
    """Its number among the rows of the file, from 1."""
    date: str | None
    data: dict[str, Any] | None
    """The fields by column; null for a record that can't be read."""
    error: str | None = None
    """Why it can't be read."""
    raw: str | None = None
    """What the database has of a record that can't be read."""


class Records(Shape):
    records: list[Record]
    next: str | None
    """The `after` of the next page; null: this is the last one."""


class Team(Shape):
    """What a job of bulkTeam made of a row."""

    id: int
    job_id: str | None
    row: int
    name: str
    members: list[str]


class Teams(Shape):
    teams: list[Team]
    next: str | None
    """The `after` of the next page; null: this is the last one."""


class RunningJob(Shape):
    id: str
    kind: str
    state: State
    attempt: int
    links: dict[str, str]


class Worker(Shape):
    """A process that runs jobs."""

    name: str
    host: str
    pid: int
    started_at: datetime | None
    last_heartbeat: datetime | None
    alive: bool
    """Whether its last heartbeat is not too long ago."""
    concurrency: int
    queues: list[str]
    """The kinds that it takes; empty: all."""
    running: list[RunningJob]


class Workers(Shape):
    workers: list[Worker]


class ApiKey(Shape):
    id: str
    """Which key it is: a part of its text, and no secret."""
    user: str
    role: Role
    kinds: list[str] | None
    """The kinds of job that it may start; null: all."""
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class NewApiKey(ApiKey):
    """A key that was made."""

    key: str
    """What its user sends. It is stored nowhere, and not shown again."""


class ApiKeys(Shape):
    keys: list[ApiKey]


class AuditLine(Shape):
    """What somebody did, or was not let do."""

    id: int
    at: datetime | None
    user: str | None
    """Null: somebody who was not let in, or the service itself."""
    role: Role | None
    """Of the key. Null without one that is known, and for what was done at the command line."""
    key_id: str | None
    """The id of the key that was shown. In a line about somebody who was not let in it may be made up."""
    action: Act
    target: str | None
    """The id of the job, the action or the key."""
    outcome: Outcome
    """`already`: it was so before. `failed`: the service could not do it."""
    status: int | None
    """Of the answer. Null: the line was written with the change, before there was one."""
    problem: str | None
    """What the answer's problem is called."""
    times: int
    """How many requests alike the line stands for."""
    address: str | None
    """Of the client. Null: over a Unix socket, at the command line, or several."""
    request_id: str | None
    """As the service's log has it."""


class AuditLines(Shape):
    lines: list[AuditLine]
    next: str | None
    """The `after` of the next page; null: this is the last one."""


class Alive(Shape):
    status: str
    version: str
    """Of the service."""


class Ready(Shape):
    status: str
    workers: int | None = None
    """In a fleet, how many are alive."""


class NotReady(Shape):
    status: str
    reason: str


class Contract(Shape):
    """This document."""

    openapi: str
    info: dict[str, Any]
    tags: list[dict[str, Any]]
    paths: dict[str, Any]
    components: dict[str, Any]
