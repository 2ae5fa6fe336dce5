"""Names and tags of what an environment has in a cloud."""

OWNER = "refsys"


def named(environment: str, part: str) -> str:
    """Name of an environment's part: environments of one project don't meet."""
    return f"{OWNER}-{environment}-{part}"


def tags(environment: str, *more: str) -> list[str]:
    """Tags by which people and searches find all that belongs to an environment."""
    return [OWNER, f"{OWNER}-environment={environment}", *more]
