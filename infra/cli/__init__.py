"""The `refsys` command line."""
