"""Key performance indicators: from the chain's REPORT lines into tables, and out of them (docs/kpi.md)."""
