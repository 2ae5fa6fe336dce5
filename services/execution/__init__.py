"""Execution of production jobs on Kubernetes."""
