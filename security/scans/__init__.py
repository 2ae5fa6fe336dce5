"""Scans on demand: vulnerabilities, open ports and TLS, licences, secrets; what is beyond the policy."""
