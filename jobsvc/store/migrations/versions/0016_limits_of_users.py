"""What users have: bytes stored, jobs that wait for their own others, how many requests have come."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
MOMENT = sa.DateTime(timezone=True)
WITH_FILES, HELD = sa.text("files_removed_at IS NULL"), sa.text("held")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("upload_bytes", BIG, nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("result_bytes", BIG, nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("held", sa.Boolean, nullable=False, server_default=sa.false()))
    # What a run has noted of its file. How large older exports are, the database does not know.
    op.execute(
        "UPDATE jobs SET upload_bytes = size WHERE files_removed_at IS NULL AND kind IN ('baselineCSV', 'bulkTeam')"
    )
    op.create_index("jobs_users", "jobs", ["state", "user", "priority", "turn", "key"])
    op.create_index(
        "jobs_stored",
        "jobs",
        ["user", "files_removed_at", "upload_bytes", "result_bytes"],
        sqlite_where=WITH_FILES,
        postgresql_where=WITH_FILES,
    )
    op.create_index("jobs_held", "jobs", ["user", "priority", "turn", "key"], sqlite_where=HELD, postgresql_where=HELD)
    op.create_table(
        "request_rates",
        sa.Column("user", sa.String, primary_key=True),
        sa.Column("sort", sa.String, primary_key=True),
        sa.Column("rested_at", MOMENT, nullable=False),
        sqlite_with_rowid=False,
        prefixes=["UNLOGGED"] if op.get_bind().dialect.name == "postgresql" else [],
    )
