"""What was read from the AUXIP."""

from refsys.services.orbits import schema

revision = "0001_read"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    schema.create()
