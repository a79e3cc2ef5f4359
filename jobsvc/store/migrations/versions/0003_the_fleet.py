"""The fleet: which entry of the queue a job has, the workers, and telling all processes of changes."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("queue_entry", BIG))
    op.create_table("queue_migrations", sa.Column("name", sa.String, primary_key=True))
    op.create_table(
        "workers",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("purpose", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("host", sa.String, nullable=False),
        sa.Column("pid", BIG, nullable=False),
        sa.Column("queues", sa.dialects.postgresql.JSONB().with_variant(sa.Text, "sqlite"), nullable=False),
        sa.Column("concurrency", BIG, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("session", sa.String, nullable=False),
    )
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute(
        """
        CREATE FUNCTION jobsvc_tell_of_job() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_notify('jobsvc_jobs', NEW.key::text);
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER jobs_changed AFTER UPDATE OF state, rollback ON jobs FOR EACH ROW
        WHEN (OLD.state IS DISTINCT FROM NEW.state OR OLD.rollback IS DISTINCT FROM NEW.rollback)
        EXECUTE FUNCTION jobsvc_tell_of_job()
        """
    )
