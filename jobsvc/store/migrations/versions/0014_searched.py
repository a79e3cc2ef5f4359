"""The text that a search in jobs looks at, and an index for lists of the jobs in one state."""

from unicodedata import normalize

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

AT_A_TIME = 10_000

jobs = sa.table(
    "jobs", sa.column("key"), sa.column("id"), sa.column("filename"), sa.column("searched"), sa.column("deleted_at")
)


def folded(text: str) -> str:
    return normalize("NFKC", normalize("NFKC", text).casefold())


def upgrade() -> None:
    op.add_column("jobs", sa.Column("searched", sa.Text))
    op.create_index("jobs_listed", "jobs", ["state", "key"])
    connection, after = op.get_bind(), 0
    some = sa.select(jobs.c.key, jobs.c.id, jobs.c.filename).where(jobs.c.deleted_at.is_(None)).order_by(jobs.c.key)
    change = sa.update(jobs).where(jobs.c.key == sa.bindparam("wanted")).values(searched=sa.bindparam("text"))
    while rows := connection.execute(some.where(jobs.c.key > after).limit(AT_A_TIME)).all():
        texts = [row.id if row.filename is None else f"{row.id}\n{row.filename}" for row in rows]
        connection.execute(
            change, [{"wanted": row.key, "text": folded(text)} for row, text in zip(rows, texts, strict=True)]
        )
        after = rows[-1].key
