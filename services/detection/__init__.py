"""Detection: Sigma rules over the log store raise alerts."""
