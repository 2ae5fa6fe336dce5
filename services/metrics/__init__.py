"""Metrics: questions to Prometheus, and what operators see of them."""
