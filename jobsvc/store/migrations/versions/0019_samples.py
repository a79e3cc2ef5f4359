"""Points of each job's progress over its life."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "job_samples",
        sa.Column("job_key", BIG, sa.ForeignKey("jobs.key"), primary_key=True),
        sa.Column("every", sa.Float, nullable=False),
        sa.Column("points", sa.Text, nullable=False),
    )
