"""A real OpenStack on this machine, from Debian's packages, for the tests."""
