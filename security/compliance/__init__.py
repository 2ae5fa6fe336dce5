"""Compliance of nodes and cluster with published benchmarks: what is checked, what was seen, what is waived and why."""
