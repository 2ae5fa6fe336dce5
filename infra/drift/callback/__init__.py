"""Ansible's callback plugins of the drift report."""
