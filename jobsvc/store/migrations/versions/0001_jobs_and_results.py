"""Jobs with their history, refused rows, and what the built-in kinds make."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("key", sa.Integer, primary_key=True),
        sa.Column("id", sa.String, nullable=False, unique=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("user", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("params", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True)),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.Column("cursor", sa.Text),
        sa.Column("columns", sa.Text),
        sa.Column("done", sa.Integer, nullable=False),
        sa.Column("failed", sa.Integer, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("rate", sa.Float),
        sa.Column("eta_seconds", sa.Float),
        sa.Column("error", sa.Text),
        sa.Column("rolled_back", sa.Boolean, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("jobs_state", "jobs", ["state", "queued_at", "key"])
    op.create_table(
        "job_events",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("job_key", sa.Integer, sa.ForeignKey("jobs.key"), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("from", sa.String),
        sa.Column("to", sa.String, nullable=False),
        sa.Column("who", sa.String, nullable=False),
        sa.Column("why", sa.String, nullable=False),
    )
    op.create_index("job_events_job", "job_events", ["job_key", "id"])
    op.create_table(
        "refused_rows",
        sa.Column("job_key", sa.Integer, sa.ForeignKey("jobs.key"), primary_key=True),
        sa.Column("item", sa.Integer, primary_key=True),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("line", sa.Integer),
        sa.Column("offset", sa.Integer),
        sa.Column("length", sa.Integer),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "records",
        sa.Column("job_key", sa.Integer, primary_key=True),
        sa.Column("row", sa.Integer, primary_key=True),
        sa.Column("date", sa.String(10), nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("records_date", "records", ["date", "job_key", "row"])
    op.create_table(
        "teams",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("job_key", sa.Integer, sa.ForeignKey("jobs.key"), nullable=False),
        sa.Column("row", sa.Integer, nullable=False),
        sa.Column("name", sa.String, nullable=False, unique=True),
    )
    op.create_index("teams_job", "teams", ["job_key", "row"], unique=True)
    op.create_table(
        "team_members",
        sa.Column("team_id", sa.Integer, sa.ForeignKey("teams.id"), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sqlite_with_rowid=False,
    )
    op.execute(
        """
        CREATE VIEW record_objects AS
        SELECT jobs.id AS job_id, records.row AS row, records.date AS date, (
            SELECT json_group_object(header.value, field.value)
            FROM json_each(jobs.columns) AS header
            JOIN json_each(records.data) AS field ON field.key = header.key
        ) AS data
        FROM records JOIN jobs ON jobs.key = records.job_key
        """
    )
