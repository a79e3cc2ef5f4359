"""Priorities of jobs, and the turns by which users share the slots."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("priority", BIG, nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("turn", BIG, nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("gives_way", sa.Boolean, nullable=False, server_default=sa.false()))
    # What has waited goes in the order in which it would have gone, each user's for itself; what has begun goes first.
    op.execute(
        """
        UPDATE jobs SET turn = waiting.place
        FROM (
            SELECT key, row_number() OVER (PARTITION BY "user" ORDER BY queued_at, key) AS place
            FROM jobs WHERE state = 'queued' AND attempt = 0
        ) AS waiting
        WHERE waiting.key = jobs.key
        """
    )
    op.create_index("jobs_turns", "jobs", ["state", "priority", "turn", "key"])
    op.create_index("jobs_user_turns", "jobs", ["user", "priority", "turn"])
    op.create_table(
        "turns",
        sa.Column("priority", BIG, primary_key=True, autoincrement=False),
        sa.Column("reached", BIG, nullable=False),
    )
