"""Copies of what the platform keeps, in the object store."""
