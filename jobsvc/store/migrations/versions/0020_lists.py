"""Indexes for lists of jobs by kind, by user and by both, and for the jobs that an action has stopped."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

NOT_FORGOTTEN, STOPPED = sa.text("deleted_at IS NULL"), sa.text("stopped_by IS NOT NULL")


def upgrade() -> None:
    op.drop_index("jobs_figures", "jobs")
    op.create_index(
        "jobs_figures", "jobs", ["kind", "state", "key", "deleted_at", "done", "failed", "blank", "taken_back"]
    )
    op.drop_index("jobs_counted", "jobs")
    op.create_index(
        "jobs_counted",
        "jobs",
        ["state", "user", "key", "deleted_at"],
        sqlite_where=NOT_FORGOTTEN,
        postgresql_where=NOT_FORGOTTEN,
    )
    op.create_index(
        "jobs_of_user",
        "jobs",
        ["user", "kind", "state", "key", "deleted_at"],
        sqlite_where=NOT_FORGOTTEN,
        postgresql_where=NOT_FORGOTTEN,
    )
    op.create_index("jobs_stopped", "jobs", ["stopped_by", "state"], sqlite_where=STOPPED, postgresql_where=STOPPED)
