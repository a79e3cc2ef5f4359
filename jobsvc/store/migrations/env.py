"""Alembic's environment: it runs on the connection that `jobsvc.store.migrate` hands it."""

from alembic import context

from jobsvc.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.config.attributes["lock"](context.get_bind())
    context.run_migrations()
