"""Ingestion: polls the stations, fetches their files into the object store, hands them to the catalogue."""
