"""Schemas of the services' database: one Alembic chain of revisions."""
