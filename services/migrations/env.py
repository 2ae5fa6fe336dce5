"""Alembic's entry: runs the revisions on the connection that `upgrade` made."""

from alembic import context

attributes = context.config.attributes
context.configure(
    connection=attributes["connection"], version_table=attributes["version_table"], transaction_per_migration=False
)
with context.begin_transaction():
    context.run_migrations()
