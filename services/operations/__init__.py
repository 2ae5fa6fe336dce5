"""The operators' API over lifecycle, reconciliation and dead letters."""
