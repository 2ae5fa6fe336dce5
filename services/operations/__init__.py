"""The operators' API over lifecycle, reconciliation, dead letters, logs and alerts."""
