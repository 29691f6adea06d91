"""Run by Alembic for every command; the connection, and so the transaction, is the caller's."""

from alembic import context

from scriptfleet.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite changes a table by writing it anew.
    render_as_batch=True,
)
context.run_migrations()
