"""The catalogue: extracts the metadata of each stored product and announces it for publication."""
