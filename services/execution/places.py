"""Where jobs run in the cluster: a namespace for each mission, and in a pod the container of the runner."""

MISSIONS = ("S1", "S2", "S3")
NAMESPACES = {mission: f"production-{mission.lower()}" for mission in MISSIONS}
RUNNERS = {NAMESPACES[mission]: f"jobs-{mission.lower()}" for mission in MISSIONS}
"""Namespace → container of the runner; the other one is a processor's, who says what it likes."""
