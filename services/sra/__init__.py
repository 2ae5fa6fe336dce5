"""Sentinel resource allocation: which satellite sends to which antenna, by rules, and why."""
