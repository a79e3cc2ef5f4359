"""The throughput of the service by time, and an index that counts jobs by state."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "throughput",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("bucket", BIG, nullable=False),
        sa.Column("total", sa.Float, nullable=False),
    )
    op.create_index("throughput_bucket", "throughput", ["bucket", "total"])
    op.create_index("jobs_counted", "jobs", ["state", "deleted_at", "user"])
