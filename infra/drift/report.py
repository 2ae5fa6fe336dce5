"""What the Ansible callback and those who read its report agree on."""

REPORT = "REFSYS_CHANGES_REPORT"
"""Variable that names the report's file."""
