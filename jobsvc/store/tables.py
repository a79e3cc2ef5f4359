"""The tables. Migrations in `migrations/` make them; `tests/store` checks that both agree."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, MetaData, String, Table, Text, false, text

from jobsvc.store.types import AnyText, Big, IsoDate, Json, JsonText, UtcDateTime

metadata = MetaData()

_WITH_FILES = text("files_removed_at IS NULL")
_HELD = text("held")
_APPLIED = text("applied_from IS NOT NULL")
_NOT_FORGOTTEN = text("deleted_at IS NULL")
_STOPPED = text("stopped_by IS NOT NULL")

jobs = Table(
    "jobs",
    metadata,
    Column("key", Big, primary_key=True),
    Column("id", String, nullable=False, unique=True),
    Column("kind", String, nullable=False),
    Column("user", String, nullable=False),
    Column("state", String, nullable=False),
    Column("attempt", Big, nullable=False, default=0),
    Column("params", Json, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("queued_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("cursor", Json),
    Column("columns", Json),
    Column("done", Big, nullable=False, default=0),
    Column("failed", Big, nullable=False, default=0),
    Column("position", Big, nullable=False, default=0),
    Column("size", Big, nullable=False, default=0),
    Column("rate", Float),
    Column("eta_seconds", Float),
    Column("error", AnyText),
    Column("rolled_back", Boolean, nullable=False, default=False),
    Column("filename", AnyText),
    Column("callback_url", String),
    # NULL, or where a rollback that was asked for stands: "wanted" or "running".
    Column("rollback", String),
    Column("rollback_total", Big),
    Column("files_removed_at", UtcDateTime),
    # Set when the job was forgotten. Its row stays, since its records need its id and columns.
    Column("deleted_at", UtcDateTime),
    # The entry of the fleet's queue that may run the job, or did; no other may.
    Column("queue_entry", Big),
    # Attempts in a row that came to no checkpoint and did not end in good order, one that is under way included.
    Column("crashes", Big, nullable=False, default=0, server_default="0"),
    # When a job that has crashed may begin again, or has begun; NULL: at once.
    Column("not_before", UtcDateTime),
    # Lines that were left out since nothing is in them.
    Column("blank", Big, nullable=False, default=0, server_default="0"),
    # What the job's owner should know of its file: a JSON array of texts.
    Column("warnings", Json, nullable=False, default=list, server_default="[]"),
    # The action on many jobs that has stopped it, unless somebody has asked something else of it since.
    Column("stopped_by", Big),
    # Items that took effect and were rolled back since; `done` has them no more.
    Column("taken_back", Big, nullable=False, default=0, server_default="0"),
    # The id of the request that has made it, as the log of the process has it.
    Column("request_id", String),
    # The user whose records alone it may read; NULL: everybody's.
    Column("scope", String),
    # -1: high, 0: normal, 1: low.
    Column("priority", Big, nullable=False, default=0, server_default="0"),
    # Its place among the queued jobs of its priority, or the one that it had; 0: before all that have turns.
    Column("turn", Big, nullable=False, default=0, server_default="0"),
    # Whether its run is to leave its slot to a job of a higher priority.
    Column("gives_way", Boolean, nullable=False, default=False, server_default=false()),
    # What a search for a text looks at: see `queries/listing/searched.py`.
    Column("searched", AnyText),
    # How many bytes its upload has in the store, and what it has made, as of its latest checkpoint.
    Column("upload_bytes", Big, nullable=False, default=0, server_default="0"),
    Column("result_bytes", Big, nullable=False, default=0, server_default="0"),
    # In the fleet: it is queued and has no entry, until another job of its user has left its slot.
    Column("held", Boolean, nullable=False, default=False, server_default=false()),
    # Its upload as it was stored: a JSON object, `jobs/stored_file.py` says of what.
    Column("file", Json),
    # When its file was uploaded, if that was for another job.
    Column("uploaded_at", UtcDateTime),
    # The id of the dry run that was applied as this job. Its file is this job's too.
    Column("applied_from", String),
    # Of a dry run: the ids of the latest jobs that were made of its file, as a JSON array.
    Column("applied_as", Json, nullable=False, default=list, server_default="[]"),
    Index("jobs_user", "user", "key"),
    Index("jobs_turns", "state", "priority", "turn", "key"),
    Index("jobs_user_turns", "user", "priority", "turn"),
    Index("jobs_state", "state", "queued_at", "key"),
    # A list of the jobs in one state, the newest first.
    Index("jobs_listed", "state", "key"),
    # What each user has queued, in its order, and how many jobs run for whom.
    Index("jobs_users", "state", "user", "priority", "turn", "key"),
    Index(
        *("jobs_stored", "user", "files_removed_at", "upload_bytes", "result_bytes"),
        sqlite_where=_WITH_FILES,
        postgresql_where=_WITH_FILES,
    ),
    Index("jobs_held", "user", "priority", "turn", "key", sqlite_where=_HELD, postgresql_where=_HELD),
    # How many jobs there are in a state, of all users or of one; and a list of the latter, the newest first. SQLite
    # looks at no row only if the index also has what it leaves out.
    Index(
        *("jobs_counted", "state", "user", "key", "deleted_at"),
        sqlite_where=_NOT_FORGOTTEN,
        postgresql_where=_NOT_FORGOTTEN,
    ),
    # A list of the jobs of a user and a kind in one state, the newest first.
    Index(
        *("jobs_of_user", "user", "kind", "state", "key", "deleted_at"),
        sqlite_where=_NOT_FORGOTTEN,
        postgresql_where=_NOT_FORGOTTEN,
    ),
    # All that is summed up of all jobs, so that it takes no look at their rows; and a list of the jobs of a kind in
    # one state, the newest first.
    Index("jobs_figures", "kind", "state", "key", "deleted_at", "done", "failed", "blank", "taken_back"),
    # What an action on many jobs has stopped.
    Index("jobs_stopped", "stopped_by", "state", sqlite_where=_STOPPED, postgresql_where=_STOPPED),
    Index("jobs_finished", "finished_at"),
    Index("jobs_applied", "applied_from", sqlite_where=_APPLIED, postgresql_where=_APPLIED),
    sqlite_autoincrement=True,
)

# Points of a job's progress over its life, thinned; see `jobs/samples.py`.
job_samples = Table(
    "job_samples",
    metadata,
    Column("job_key", Big, ForeignKey("jobs.key"), primary_key=True),
    # The least run time between two points, in seconds.
    Column("every", Float, nullable=False),
    # A JSON array of arrays: milliseconds since 1970, done, failed, seconds of run time.
    Column("points", Text, nullable=False),
)

# How many items runs have dealt with, by time: several rows for each bucket, since each run adds its own.
throughput = Table(
    "throughput",
    metadata,
    Column("id", Big, primary_key=True),
    Column("bucket", Big, nullable=False),
    Column("total", Float, nullable=False),
    Index("throughput_bucket", "bucket", "total"),
)

# For each priority, the latest turn of which a job has begun.
turns = Table(
    "turns",
    metadata,
    Column("priority", Big, primary_key=True, autoincrement=False),
    Column("reached", Big, nullable=False),
)

# For each user and sort of request, when it will be as if none had come: see `service/limits/rate.py`.
request_rates = Table(
    "request_rates",
    metadata,
    Column("user", String, primary_key=True),
    Column("sort", String, primary_key=True),
    Column("rested_at", UtcDateTime, nullable=False),
    sqlite_with_rowid=False,
)

job_events = Table(
    "job_events",
    metadata,
    Column("id", Big, primary_key=True),
    Column("job_key", Big, ForeignKey("jobs.key"), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("from", String),
    Column("to", String, nullable=False),
    Column("who", String, nullable=False),
    Column("why", String, nullable=False),
    # The id of the request that asked for it, if one did.
    Column("request_id", String),
    Index("job_events_job", "job_key", "id"),
)

# What a job's runs say of it, and its kind. Its lines count from 1, those among them that were dropped.
job_log = Table(
    "job_log",
    metadata,
    Column("job_key", Big, ForeignKey("jobs.key"), primary_key=True),
    Column("line", Big, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("attempt", Big, nullable=False),
    Column("level", String, nullable=False),
    # The number of the item that it is about, if it is about one.
    Column("item", Big),
    Column("text", AnyText, nullable=False),
    # Whether the job's kind has said it, and not the service.
    Column("by_kind", Boolean, nullable=False),
    sqlite_with_rowid=False,
)

refused_rows = Table(
    "refused_rows",
    metadata,
    Column("job_key", Big, ForeignKey("jobs.key"), primary_key=True),
    Column("item", Big, primary_key=True),
    Column("error", AnyText, nullable=False),
    Column("line", Big),
    Column("offset", Big),
    Column("length", Big),
    sqlite_with_rowid=False,
)

# How many of a job's rows were refused for each sort of reason, as `runs/commonest.py` tells them apart.
refusal_counts = Table(
    "refusal_counts",
    metadata,
    Column("job_key", Big, ForeignKey("jobs.key"), primary_key=True),
    # From 1 in the order in which they came; 0: all that came once there were too many.
    Column("place", Big, primary_key=True, autoincrement=False),
    Column("reason", AnyText, nullable=False),
    Column("column", AnyText),
    Column("count", Big, nullable=False),
    # The items of `refused_rows` that were first: a JSON array of a few numbers.
    Column("samples", Json, nullable=False),
    sqlite_with_rowid=False,
)

# No foreign key to jobs: looking the job up for each of millions of rows costs a
# tenth of the import, and every insert is in one transaction with the job's own
# checkpoint anyway.
records = Table(
    "records",
    metadata,
    Column("job_key", Big, primary_key=True),
    Column("row", Big, primary_key=True),
    Column("date", IsoDate, nullable=False),
    Column("data", JsonText, nullable=False),
    Index("records_date", "date", "job_key", "row"),
    sqlite_with_rowid=False,
)

teams = Table(
    "teams",
    metadata,
    Column("id", Big, primary_key=True),
    Column("job_key", Big, ForeignKey("jobs.key"), nullable=False),
    Column("row", Big, nullable=False),
    Column("name", String, nullable=False, unique=True),
    Index("teams_job", "job_key", "row", unique=True),
)

team_members = Table(
    "team_members",
    metadata,
    Column("team_id", Big, ForeignKey("teams.id"), primary_key=True),
    Column("position", Big, primary_key=True),
    Column("name", String, nullable=False),
    sqlite_with_rowid=False,
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("user", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("fingerprint", String, nullable=False),
    Column("job_key", Big, ForeignKey("jobs.key"), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index("idempotency_keys_created", "created_at"),
    sqlite_with_rowid=False,
)

# Of a key, only a digest is stored. A revoked one stays, so that the service goes on to ask for keys.
api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String, primary_key=True),
    Column("user", String, nullable=False),
    Column("role", String, nullable=False),
    # A JSON array of the kinds of job that it may start; NULL: all.
    Column("kinds", Json),
    Column("digest", String, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Column("last_used_at", UtcDateTime),
    sqlite_with_rowid=False,
)

# Who did what, from where, with what outcome. A line that tells of a change is written in its transaction.
# Its texts may come from clients.
audit = Table(
    "audit",
    metadata,
    Column("id", Big, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("action", String, nullable=False),
    Column("outcome", String, nullable=False),
    # The id of the job, the action or the key.
    Column("target", AnyText),
    # NULL: somebody who is not known, or the service itself.
    Column("user", String),
    Column("role", String),
    # Which key was shown; never its secret.
    Column("key_id", AnyText),
    Column("address", AnyText),
    Column("request_id", AnyText),
    # Of the answer, and the end of its problem's type; NULL for what was written before there was an answer.
    Column("status", Big),
    Column("problem", AnyText),
    # How many requests alike the line stands for.
    Column("times", Big, nullable=False, default=1, server_default="1"),
    Index("audit_at", "at"),
    Index("audit_user", "user", "id"),
    Index("audit_action", "action", "id"),
    Index("audit_target", "target", "id"),
    sqlite_autoincrement=True,
)

# Logins of browsers. What one may do is looked up with its key, at each request. A key of the settings has no
# row of its own, and is found by its digest.
sessions = Table(
    "sessions",
    metadata,
    Column("digest", String, primary_key=True),
    Column("key_id", String, nullable=False),
    Column("key_digest", String, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("last_used_at", UtcDateTime, nullable=False),
    sqlite_with_rowid=False,
)

# What was asked of many jobs at once. Its key is never used again: jobs may remember it for longer than it is kept.
actions = Table(
    "actions",
    metadata,
    Column("key", Big, primary_key=True),
    Column("id", String, nullable=False, unique=True),
    Column("verb", String, nullable=False),
    Column("rollback", Boolean, nullable=False),
    Column("user", String, nullable=False),
    Column("filter", Json, nullable=False),
    # The user whose jobs alone were there for whoever asked; NULL: everybody's.
    Column("owner", String),
    # The action whose jobs are to be resumed, if only those are.
    Column("paused_by", Big),
    # The youngest job that there was when it was asked.
    Column("up_to", Big, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    # When its jobs were listed in `action_jobs`.
    Column("begun_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("found", Big, nullable=False),
    Column("done", Big, nullable=False),
    Column("already", Big, nullable=False),
    # By reason, how many jobs were passed over, and some of their ids.
    Column("skipped", Json, nullable=False),
    Column("idempotency_key", String),
    Column("fingerprint", String),
    Index("actions_finished", "finished_at"),
    Index("actions_idempotency", "user", "idempotency_key", unique=True),
    sqlite_autoincrement=True,
)

# What is left to do of an action that has begun: a row goes in the transaction that does what it stands for.
action_jobs = Table(
    "action_jobs",
    metadata,
    Column("action_key", Big, ForeignKey("actions.key"), primary_key=True),
    Column("place", Big, primary_key=True),
    Column("job_key", Big, ForeignKey("jobs.key"), nullable=False),
    # Whether its turn has come, and it could not be done then.
    Column("aside", Boolean, nullable=False),
    sqlite_with_rowid=False,
)

# The names that a dry run of bulkTeam would have taken.
dry_run_teams = Table(
    "dry_run_teams",
    metadata,
    Column("job_key", Big, ForeignKey("jobs.key"), primary_key=True),
    Column("name", String, primary_key=True),
    Column("row", Big, nullable=False),
    Index("dry_run_teams_row", "job_key", "row"),
    sqlite_with_rowid=False,
)

# The outbox: what is to be sent, written in the transaction that it tells of.
webhooks = Table(
    "webhooks",
    metadata,
    Column("id", Big, primary_key=True),
    Column("message_id", String, nullable=False, unique=True),
    Column("job_key", Big, ForeignKey("jobs.key"), nullable=False),
    Column("url", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("attempts", Big, nullable=False, default=0),
    # When to try next; NULL once it was delivered or given up.
    Column("next_at", UtcDateTime),
    Column("delivered_at", UtcDateTime),
    Column("last_error", AnyText),
    Index("webhooks_next", "next_at"),
    Index("webhooks_job", "job_key"),
)

# The workers of Procrastinate, by its number. A process has one for each purpose: runs, rollbacks, recovery.
workers = Table(
    "workers",
    metadata,
    Column("id", Big, primary_key=True, autoincrement=False),
    Column("purpose", String, nullable=False),
    Column("name", String, nullable=False),
    Column("host", String, nullable=False),
    Column("pid", Big, nullable=False),
    Column("queues", Json, nullable=False),
    Column("concurrency", Big, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    # The application_name of all its connections, and of no other process's.
    Column("session", String, nullable=False),
)

# One row: the random identity that the store of the files has too.
identity = Table("identity", metadata, Column("id", String, primary_key=True))

# Which of Procrastinate's migrations were applied.
queue_migrations = Table("queue_migrations", metadata, Column("name", String, primary_key=True))
