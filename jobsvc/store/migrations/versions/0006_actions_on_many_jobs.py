"""Actions on many jobs: what was asked, what is left to do of it, and which action has stopped a job."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
JSON = sa.dialects.postgresql.JSONB().with_variant(sa.Text, "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("jobs", sa.Column("stopped_by", BIG))
    op.create_table(
        "actions",
        sa.Column("key", BIG, primary_key=True),
        sa.Column("id", sa.String, nullable=False, unique=True),
        sa.Column("verb", sa.String, nullable=False),
        sa.Column("rollback", sa.Boolean, nullable=False),
        sa.Column("user", sa.String, nullable=False),
        sa.Column("filter", JSON, nullable=False),
        sa.Column("paused_by", BIG),
        sa.Column("up_to", BIG, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("begun_at", MOMENT),
        sa.Column("finished_at", MOMENT),
        sa.Column("found", BIG, nullable=False),
        sa.Column("done", BIG, nullable=False),
        sa.Column("already", BIG, nullable=False),
        sa.Column("skipped", JSON, nullable=False),
        sa.Column("idempotency_key", sa.String),
        sa.Column("fingerprint", sa.String),
        sqlite_autoincrement=True,
    )
    op.create_index("actions_finished", "actions", ["finished_at"])
    op.create_index("actions_idempotency", "actions", ["user", "idempotency_key"], unique=True)
    op.create_table(
        "action_jobs",
        sa.Column("action_key", BIG, sa.ForeignKey("actions.key"), primary_key=True),
        sa.Column("place", BIG, primary_key=True),
        sa.Column("job_key", BIG, sa.ForeignKey("jobs.key"), nullable=False),
        sa.Column("aside", sa.Boolean, nullable=False),
        sqlite_with_rowid=False,
    )
