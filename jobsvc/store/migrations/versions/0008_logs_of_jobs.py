"""The log of each job, and which request has made a job or asked something of it."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("jobs", sa.Column("request_id", sa.String))
    op.add_column("job_events", sa.Column("request_id", sa.String))
    op.create_table(
        "job_log",
        sa.Column("job_key", BIG, sa.ForeignKey("jobs.key"), primary_key=True),
        sa.Column("line", BIG, primary_key=True),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("attempt", BIG, nullable=False),
        sa.Column("level", sa.String, nullable=False),
        sa.Column("item", BIG),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("by_kind", sa.Boolean, nullable=False),
        sqlite_with_rowid=False,
    )
