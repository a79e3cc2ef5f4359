"""The audit: who did what, from where, with what outcome."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("action", sa.String, nullable=False),
        sa.Column("outcome", sa.String, nullable=False),
        sa.Column("target", sa.Text),
        sa.Column("user", sa.String),
        sa.Column("role", sa.String),
        sa.Column("key_id", sa.Text),
        sa.Column("address", sa.Text),
        sa.Column("request_id", sa.Text),
        sa.Column("status", BIG),
        sa.Column("problem", sa.Text),
        sa.Column("times", BIG, nullable=False, server_default="1"),
        sqlite_autoincrement=True,
    )
    op.create_index("audit_at", "audit", ["at"])
    op.create_index("audit_user", "audit", ["user", "id"])
    op.create_index("audit_action", "audit", ["action", "id"])
    op.create_index("audit_target", "audit", ["target", "id"])
