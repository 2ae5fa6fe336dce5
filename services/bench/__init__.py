"""Comparison of a processor's outputs with a reference, by rules of what may differ (docs/processor-bench.md)."""
