"""Hardening and detection: admission, access, compliance."""
