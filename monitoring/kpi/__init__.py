"""The monthly report of the key performance indicators."""
