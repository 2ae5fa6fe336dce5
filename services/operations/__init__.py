"""The operators' API over lifecycle, reconciliation, dead letters, logs, alerts and KPIs."""
