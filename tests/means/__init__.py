"""Test means: a station, a generator of auxiliary files, and the servers the services run against."""
