"""What file a job has, and which jobs were made of a dry run's. Of files that came before, nothing is known."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

JSON = sa.dialects.postgresql.JSONB().with_variant(sa.Text, "sqlite")
THOSE = sa.text("applied_from IS NOT NULL")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("file", JSON))
    op.add_column("jobs", sa.Column("uploaded_at", sa.DateTime(timezone=True)))
    op.add_column("jobs", sa.Column("applied_from", sa.String))
    op.add_column("jobs", sa.Column("applied_as", JSON, nullable=False, server_default="[]"))
    op.create_index("jobs_applied", "jobs", ["applied_from"], sqlite_where=THOSE, postgresql_where=THOSE)
