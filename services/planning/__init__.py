"""Mission Planning view: passes, station contacts, acquisitions and conflicts, on a map and a time line."""
