"""How many items of a job were rolled back, and an index that sums up all jobs."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("taken_back", BIG, nullable=False, server_default="0"))
    op.execute("UPDATE jobs SET taken_back = rollback_total - done WHERE rollback_total > done")
    op.create_index("jobs_figures", "jobs", ["kind", "state", "deleted_at", "done", "failed", "blank", "taken_back"])
