"""The `existing` cloud: machines that somebody else made."""
