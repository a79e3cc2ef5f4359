"""Jobs with their history, refused rows, and what the built-in kinds make."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
JSON = sa.Text().with_variant(postgresql.JSONB(), "postgresql")
DATE = sa.String(10).with_variant(sa.String(10, collation="C"), "postgresql")

FIELDS_BY_NAME = {
    "sqlite": """
        SELECT json_group_object(header.value, field.value)
        FROM json_each(jobs.columns) AS header
        JOIN json_each(records.data) AS field ON field.key = header.key
        """,
    # json, since jsonb would not keep the fields in the header's order.
    "postgresql": """
        SELECT json_object_agg(header.value, field.value ORDER BY header.number)
        FROM jsonb_array_elements_text(jobs.columns) WITH ORDINALITY AS header(value, number)
        JOIN jsonb_array_elements(records.data) WITH ORDINALITY AS field(value, number)
          ON field.number = header.number
        """,
}


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("key", BIG, primary_key=True),
        sa.Column("id", sa.String, nullable=False, unique=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("user", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("attempt", BIG, nullable=False),
        sa.Column("params", JSON, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True)),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.Column("cursor", JSON),
        sa.Column("columns", JSON),
        sa.Column("done", BIG, nullable=False),
        sa.Column("failed", BIG, nullable=False),
        sa.Column("position", BIG, nullable=False),
        sa.Column("size", BIG, nullable=False),
        sa.Column("rate", sa.Float),
        sa.Column("eta_seconds", sa.Float),
        sa.Column("error", sa.Text),
        sa.Column("rolled_back", sa.Boolean, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("jobs_state", "jobs", ["state", "queued_at", "key"])
    op.create_table(
        "job_events",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("job_key", BIG, sa.ForeignKey("jobs.key"), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("from", sa.String),
        sa.Column("to", sa.String, nullable=False),
        sa.Column("who", sa.String, nullable=False),
        sa.Column("why", sa.String, nullable=False),
    )
    op.create_index("job_events_job", "job_events", ["job_key", "id"])
    op.create_table(
        "refused_rows",
        sa.Column("job_key", BIG, sa.ForeignKey("jobs.key"), primary_key=True),
        sa.Column("item", BIG, primary_key=True),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("line", BIG),
        sa.Column("offset", BIG),
        sa.Column("length", BIG),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "records",
        sa.Column("job_key", BIG, primary_key=True),
        sa.Column("row", BIG, primary_key=True),
        sa.Column("date", DATE, nullable=False),
        sa.Column("data", JSON, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("records_date", "records", ["date", "job_key", "row"])
    op.create_table(
        "teams",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("job_key", BIG, sa.ForeignKey("jobs.key"), nullable=False),
        sa.Column("row", BIG, nullable=False),
        sa.Column("name", sa.String, nullable=False, unique=True),
    )
    op.create_index("teams_job", "teams", ["job_key", "row"], unique=True)
    op.create_table(
        "team_members",
        sa.Column("team_id", BIG, sa.ForeignKey("teams.id"), primary_key=True),
        sa.Column("position", BIG, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sqlite_with_rowid=False,
    )
    op.execute(
        f"""
        CREATE VIEW record_objects AS
        SELECT jobs.id AS job_id, records.row AS row, records.date AS date, (
            {FIELDS_BY_NAME[op.get_bind().dialect.name]}
        ) AS data
        FROM records JOIN jobs ON jobs.key = records.job_key
        """  # noqa: S608
    )
