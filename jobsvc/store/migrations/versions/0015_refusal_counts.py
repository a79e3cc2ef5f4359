"""How many rows of a job were refused for which reason. Jobs of before have none."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
JSON = sa.dialects.postgresql.JSONB().with_variant(sa.Text, "sqlite")


def upgrade() -> None:
    op.create_table(
        "refusal_counts",
        sa.Column("job_key", BIG, sa.ForeignKey("jobs.key"), primary_key=True),
        sa.Column("place", BIG, primary_key=True, autoincrement=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("column", sa.Text),
        sa.Column("count", BIG, nullable=False),
        sa.Column("samples", JSON, nullable=False),
        sqlite_with_rowid=False,
    )
