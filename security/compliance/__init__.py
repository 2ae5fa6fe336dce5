"""Compliance with published benchmarks: what is checked, what is seen, what is waived and why."""
