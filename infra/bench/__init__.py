"""The processor bench: runs of a processor, their figures beside earlier ones, and a gate (docs/processor-bench.md)."""
