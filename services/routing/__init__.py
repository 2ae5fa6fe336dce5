"""Routing: files go from external sources to external targets by rules, with rclone."""
