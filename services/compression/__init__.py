"""Compression: products become archives before they are published, and archives become products."""
