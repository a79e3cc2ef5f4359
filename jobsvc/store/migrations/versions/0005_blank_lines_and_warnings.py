"""Blank lines that a job left out, and what its owner should know of its file."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("blank", BIG, nullable=False, server_default="0"))
    warnings = sa.dialects.postgresql.JSONB().with_variant(sa.Text, "sqlite")
    op.add_column("jobs", sa.Column("warnings", warnings, nullable=False, server_default="[]"))
