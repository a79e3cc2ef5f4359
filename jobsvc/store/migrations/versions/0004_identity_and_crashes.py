"""Whose files belong to this database, and how often a job has taken its process with it."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table("identity", sa.Column("id", sa.String, primary_key=True))
    op.add_column("jobs", sa.Column("crashes", BIG, nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("not_before", sa.DateTime(timezone=True)))
