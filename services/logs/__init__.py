"""Logs: from Kafka into the searchable store, and out of it."""
