"""What watches the environment: logs, alerts, and who is told."""
