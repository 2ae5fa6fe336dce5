"""What operators ask for, and can't have."""


class RefusedError(Exception):
    """What was asked can't be done; says why."""
