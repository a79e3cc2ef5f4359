"""Rollback, retention, idempotency keys, dry runs, webhooks."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("filename", sa.Text))
    op.add_column("jobs", sa.Column("callback_url", sa.String))
    op.add_column("jobs", sa.Column("rollback", sa.String))
    op.add_column("jobs", sa.Column("rollback_total", BIG))
    op.add_column("jobs", sa.Column("files_removed_at", sa.DateTime(timezone=True)))
    op.add_column("jobs", sa.Column("deleted_at", sa.DateTime(timezone=True)))
    op.create_table(
        "idempotency_keys",
        sa.Column("user", sa.String, primary_key=True),
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("fingerprint", sa.String, nullable=False),
        sa.Column("job_key", BIG, sa.ForeignKey("jobs.key"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("idempotency_keys_created", "idempotency_keys", ["created_at"])
    op.create_table(
        "dry_run_teams",
        sa.Column("job_key", BIG, sa.ForeignKey("jobs.key"), primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("row", BIG, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("dry_run_teams_row", "dry_run_teams", ["job_key", "row"])
    op.create_table(
        "webhooks",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("message_id", sa.String, nullable=False, unique=True),
        sa.Column("job_key", BIG, sa.ForeignKey("jobs.key"), nullable=False),
        sa.Column("url", sa.String, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", BIG, nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True)),
        sa.Column("delivered_at", sa.DateTime(timezone=True)),
        sa.Column("last_error", sa.Text),
    )
    op.create_index("webhooks_next", "webhooks", ["next_at"])
    op.create_index("webhooks_job", "webhooks", ["job_key"])
    op.create_index("jobs_finished", "jobs", ["finished_at"])
